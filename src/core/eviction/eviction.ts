/**
 * Eviction closes connections that may not stay open, and keeps the others alive.
 *
 * It has three parts, which do not know each other:
 *
 * - `token_expiry.ts` closes a connection when its token expires. It warns a version 2
 *   connection before that.
 * - `revocations.ts` closes the connections of a user or a token that an administrator revoked,
 *   on every node, and refuses the token from then on.
 * - `keepalive.ts` sends a `keepalive` to a version 2 connection that got no message for a while,
 *   so that a client notices a dead link.
 *
 * This file owns the walk: token expiry and keepalive check every connection once a second. One
 * walk costs less than a timer for each connection, and a timer of Deno fires at once if it is
 * set beyond 2^31 ms. The walk is sliced, so that other work has its turn in between.
 * Revocations cost one read of the store for each notification, and one for each heartbeat.
 *
 * Every close goes through `Connections`. Claims and subscriptions are released there, and not
 * here.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Connections } from "../connections/connections.ts";
import type { Fanout } from "../fanout/fanout.ts";
import { forEachSliced } from "../fanout/pump.ts";
import type { Store } from "../store/store.ts";
import { Keepalive } from "./keepalive.ts";
import { CONNECTION_CHECK_MS } from "./limits.ts";
import { Revocations } from "./revocations.ts";
import { TokenExpiry } from "./token_expiry.ts";

export interface EvictionDeps {
  readonly store: Pick<Store, "readRevocations">;
  readonly connections: Pick<Connections, "hub" | "disconnect">;
  readonly fanout: Pick<Fanout, "sendControl" | "keepAlive">;
  readonly clock: Clock;
  readonly log: Log;
  readonly heartbeatMs: number;
}

export class Eviction {
  readonly #deps: EvictionDeps;
  readonly #tokenExpiry: TokenExpiry;
  readonly #keepalive: Keepalive;
  readonly #revocations: Revocations;
  readonly #stop = new AbortController();
  #walking: Promise<void> | undefined;

  constructor(deps: EvictionDeps) {
    this.#deps = deps;
    this.#tokenExpiry = new TokenExpiry(deps);
    this.#keepalive = new Keepalive(deps);
    this.#revocations = new Revocations(deps);
  }

  /** Reads the revocations so far, then starts the walk. Rejects as the store does. */
  async start(): Promise<void> {
    await this.#revocations.start();
    this.#walking = this.#walkRepeatedly();
  }

  /** Whether a token with this id (`jti`) must be refused. */
  isRevoked(tokenId: string | undefined): boolean {
    return this.#revocations.isRevoked(tokenId);
  }

  /** The store has a new revocation. */
  onRevoked(): void {
    this.#revocations.check();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#revocations.stop();
    await this.#walking;
  }

  async #walkRepeatedly(): Promise<void> {
    const { connections: { hub }, clock } = this.#deps;
    const { signal } = this.#stop;
    let checkedAt = -Infinity;
    while (!signal.aborted) {
      await clock.sleep(CONNECTION_CHECK_MS, signal);
      if (signal.aborted) return;
      // One time for all connections, so that a warning becomes due in exactly one walk.
      const now = clock.now();
      await forEachSliced(
        hub.connections(),
        (connection) => {
          const token = this.#tokenExpiry.check(connection, checkedAt, now);
          if (token === "valid") this.#keepalive.check(connection);
        },
        clock,
        signal,
      );
      checkedAt = now;
    }
  }
}
