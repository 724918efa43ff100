/**
 * Eviction closes connections that may not stay open, and keeps the others alive.
 *
 * - A connection is closed when its token expires. A version 2 connection gets the error
 *   `token_expiring` before that, so that its client can send a new token.
 * - A version 2 connection that got no message for a while gets a `keepalive`. Browsers hide pings
 *   from a page: without it, a client behind a dead link would show its old state forever.
 * - A connection is removed when its socket closes, and the peer does not read that.
 * - `revocations.ts` closes the connections of a user or a token that an administrator revoked,
 *   on every node, and refuses the token from then on.
 *
 * The first three are one walk over every connection, once a second. One walk costs less than a
 * timer for each connection, and a timer of Deno fires at once if it is set beyond 2^31 ms. The
 * walk is sliced, so that other work has its turn in between. Revocations cost one read of the
 * store for each notification, and one for each heartbeat.
 *
 * Every close goes through `Connections`. Claims and subscriptions are released there, and not
 * here.
 *
 * @module
 */
import { DISCONNECT } from "../client/protocol/disconnect.ts";
import type { Connection } from "../core/connections/connection.ts";
import type { Fanout } from "../core/fanout/fanout.ts";
import { forEachSliced } from "../base/sliced.ts";
import { encodeError } from "../client/protocol/messages.ts";
import {
  CONNECTION_CHECK_MS,
  KEEPALIVE_MS,
  TOKEN_WARNING_MS,
} from "./limits.ts";
import { Revocations, type RevocationsDeps } from "./revocations.ts";

export interface EvictionDeps extends RevocationsDeps {
  readonly fanout: Pick<Fanout, "sendControl" | "keepAlive">;
}

export class Eviction {
  readonly #deps: EvictionDeps;
  readonly #revocations: Revocations;
  readonly #stop = new AbortController();
  #walking: Promise<void> | undefined;

  constructor(deps: EvictionDeps) {
    this.#deps = deps;
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
      const check = (one: Connection) => this.#checkSafely(one, checkedAt, now);
      await forEachSliced(hub.connections(), check, clock, signal);
      checkedAt = now;
    }
  }

  /** A fault with one connection must not end the walk over all of them. */
  #checkSafely(connection: Connection, checkedAt: number, now: number): void {
    try {
      this.#check(connection, checkedAt, now);
    } catch (err) {
      const { userId } = connection;
      this.#deps.log.error({ userId, err }, "cannot check a connection");
    }
  }

  /** Does what is due for one connection: a close, a warning or a keepalive. */
  #check(connection: Connection, checkedAt: number, now: number): void {
    const { connections, fanout } = this.#deps;
    const { version, endsAt } = connection;
    const warnAt = warnAtOf(connection);
    if (!connection.isOpen) {
      connections.disconnect(connection, DISCONNECT.peerSilent);
    } else if (now >= endsAt) {
      connections.disconnect(connection, DISCONNECT.tokenExpired);
    } else if (version === 2 && checkedAt < warnAt && warnAt <= now) {
      const seconds = Math.ceil((endsAt - now) / 1_000);
      const message = `your token expires in ${seconds} s: send a refresh`;
      fanout.sendControl(connection, encodeError("token_expiring", message));
    } else {
      fanout.keepAlive(connection, KEEPALIVE_MS);
    }
  }
}

/** A short-lived token is warned about at half of its time, not as soon as it arrives. */
function warnAtOf({ endsAt, tokenReceivedAt }: Connection): number {
  const validMs = endsAt - tokenReceivedAt;
  return endsAt - Math.min(TOKEN_WARNING_MS, validMs / 2);
}
