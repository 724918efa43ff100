/**
 * Revocations disconnect a user, or the connections that use a token. They are made on any node
 * and enforced on all.
 *
 * A revocation is a row in the store. Each node reads the rows in the order of their ids: when a
 * notification says that there is a new one, and with every heartbeat, in case the notification
 * was lost. A node refuses a revoked token for as long as it remembers it.
 *
 * A read costs one walk over all connections, in slices.
 *
 * @module
 */
import { BackgroundTask } from "../base/background_task.ts";
import type { Clock } from "../base/clock.ts";
import { deleteOldest } from "../base/delete_oldest.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { DISCONNECT } from "../client/protocol/disconnect.ts";
import type { UserId } from "../client/protocol/user_id.ts";
import type { Connection } from "../core/connections/connection.ts";
import type { Connections } from "../core/connections/connections.ts";
import { forEachSliced } from "../base/sliced.ts";
import type { Revocation, Store } from "../core/store/store.ts";
import { REVOCATIONS_READ_MAX, REVOKED_TOKENS_MAX } from "./limits.ts";

export interface RevocationsDeps {
  readonly store: Pick<Store, "readRevocations">;
  readonly clock: Clock;
  readonly log: Log;
  readonly heartbeatMs: number;
  readonly connections: Pick<Connections, "hub" | "disconnect">;
  /** Ends the grace of users who left. */
  readonly endGrace: (
    isRevoked: (userId: UserId, tokenId?: string) => boolean,
  ) => void;
}

export class Revocations {
  readonly #deps: RevocationsDeps;
  /** Ids of revoked tokens, oldest first. */
  readonly #revokedTokens = new Set<string>();
  readonly #reading = new BackgroundTask(() => this.#readOrLog());
  #lastId = 0;
  #polling: Promise<void> | undefined;

  constructor(deps: RevocationsDeps) {
    this.#deps = deps;
  }

  /** Reads the revocations so far, and polls from then on. Rejects as the store does. */
  async start(): Promise<void> {
    await this.#read();
    this.#polling = this.#poll();
  }

  isRevoked(tokenId: string | undefined): boolean {
    return tokenId !== undefined && this.#revokedTokens.has(tokenId);
  }

  /** There may be new revocations. Reads them soon. */
  check(): void {
    this.#reading.wake();
  }

  async stop(): Promise<void> {
    await this.#reading.stop();
    await this.#polling;
  }

  async #poll(): Promise<void> {
    const { clock, heartbeatMs } = this.#deps;
    const { signal } = this.#reading;
    while (!signal.aborted) {
      await clock.sleep(heartbeatMs, signal);
      this.check();
    }
  }

  async #readOrLog(): Promise<void> {
    try {
      await this.#read();
    } catch (err) {
      const { log } = this.#deps;
      log.warn(
        { reason: messageOf(err) },
        "cannot read revocations, trying again",
      );
    }
  }

  async #read(): Promise<void> {
    let revocations: readonly Revocation[];
    do {
      revocations = await this.#deps.store.readRevocations(
        this.#lastId,
        REVOCATIONS_READ_MAX,
      );
      await this.#enforce(revocations);
      this.#lastId = revocations.at(-1)?.id ?? this.#lastId;
    } while (revocations.length === REVOCATIONS_READ_MAX);
  }

  /**
   * Remembers the tokens, and closes every connection on this node that is concerned. One walk over
   * the connections is enough for any number of revocations. Users who left before, and are in grace, go offline at once.
   */
  async #enforce(revocations: readonly Revocation[]): Promise<void> {
    const { connections, endGrace, clock, log } = this.#deps;
    const users = new Set(revocations.map(({ userId }) => userId));
    const tokens = new Set(revocations.map(({ tokenId }) => tokenId));
    tokens.delete(undefined);
    for (const tokenId of tokens) this.#revokedTokens.add(tokenId as string);
    deleteOldest(this.#revokedTokens, REVOKED_TOKENS_MAX);
    if (revocations.length === 0) return;
    const isRevoked = (userId: UserId, tokenId?: string) =>
      users.has(userId) || tokens.has(tokenId);
    const check = (one: Connection) => {
      if (!isRevoked(one.userId, one.tokenId)) return;
      connections.disconnect(one, DISCONNECT.disconnectedByAdministrator);
      log.info({ userId: one.userId }, "disconnected by an administrator");
    };
    const { signal } = this.#reading;
    await forEachSliced(connections.hub.connections(), check, clock, signal);
    endGrace(isRevoked);
  }
}
