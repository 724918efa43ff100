/**
 * Orders to disconnect somebody, given on any node and carried out on all.
 *
 * They are rows in the store, read in the order of their ids: when one is announced, and with
 * every heartbeat in case the announcement was lost. A token whose id was revoked is refused
 * from then on.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import type { Connections } from "../connections/connections.ts";
import { REVOCATIONS_READ_MAX, REVOKED_TOKENS_MAX } from "./limits.ts";
import type { Log } from "../../base/log.ts";
import { DISCONNECT } from "../../protocol/disconnect.ts";
import { messageOf } from "../../base/message_of.ts";
import type { Revocation, Store } from "../store/store.ts";

export interface RevocationsDeps {
  readonly store: Pick<Store, "readRevocations">;
  readonly clock: Clock;
  readonly log: Log;
  readonly heartbeatMs: number;
  readonly connections: Pick<Connections, "hub" | "disconnect">;
}

export class Revocations {
  readonly #deps: RevocationsDeps;
  readonly #stop = new AbortController();
  /** Ids of tokens, oldest first. */
  readonly #revoked = new Set<string>();
  #lastId = 0;
  #polling: Promise<void> | undefined;
  #reading: Promise<void> | undefined;
  #isWanted = false;

  constructor(deps: RevocationsDeps) {
    this.#deps = deps;
  }

  /** Learns what was ordered before. Rejects as the store does. */
  async start(): Promise<void> {
    await this.#read();
    this.#polling = this.#poll();
  }

  isRevoked(tokenId: string | undefined): boolean {
    return tokenId !== undefined && this.#revoked.has(tokenId);
  }

  /** There may be new orders. Any number of calls during a read cause one more. */
  check(): void {
    this.#isWanted = true;
    if (!this.#stop.signal.aborted) this.#reading ??= this.#readAll();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#polling;
    await this.#reading;
  }

  async #poll(): Promise<void> {
    const { clock, heartbeatMs } = this.#deps;
    while (!this.#stop.signal.aborted) {
      await clock.sleep(heartbeatMs, this.#stop.signal);
      this.check();
    }
  }

  async #readAll(): Promise<void> {
    try {
      while (this.#isWanted && !this.#stop.signal.aborted) {
        this.#isWanted = false;
        await this.#read();
      }
    } catch (err) {
      const { log } = this.#deps;
      log.warn({ reason: messageOf(err) }, "cannot read orders, trying again");
    } finally {
      this.#reading = undefined;
    }
  }

  async #read(): Promise<void> {
    let orders: readonly Revocation[];
    do {
      orders = await this.#deps.store.readRevocations(
        this.#lastId,
        REVOCATIONS_READ_MAX,
      );
      for (const order of orders) {
        this.#lastId = order.id;
        if (order.tokenId !== undefined) this.#revoke(order.tokenId);
        this.#carryOut(order);
      }
    } while (orders.length === REVOCATIONS_READ_MAX);
  }

  #revoke(tokenId: string): void {
    this.#revoked.add(tokenId);
    const oldest = this.#revoked.values().next();
    if (this.#revoked.size > REVOKED_TOKENS_MAX && !oldest.done) {
      this.#revoked.delete(oldest.value);
    }
  }

  #carryOut({ userId, tokenId }: Revocation): void {
    const { connections, log } = this.#deps;
    const { hub } = connections;
    const meant = userId !== undefined
      ? hub.connectionsOf(userId)
      : [...hub.connections()].filter((one) => one.tokenId === tokenId);
    for (const connection of meant) {
      connections.disconnect(
        connection,
        DISCONNECT.disconnectedByAdministrator,
      );
    }
    if (meant.length > 0) {
      log.info({ userId, sockets: meant.length }, "disconnected by order");
    }
  }
}
