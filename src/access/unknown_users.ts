/**
 * Users that the store does not know, with `AUTO_PROVISION`.
 *
 * The server may have written the user's row earlier, and remember that,
 * while the application has deleted the row since. So the row is written once more for connections
 * that still wait for their claim. A user who was deleted while connected is refused: the
 * application decides who is deleted, and the user may connect again.
 *
 * How a row is written is not known here.
 *
 * @module
 */
import type { Log } from "../base/log.ts";
import { DISCONNECT, type Disconnect } from "../client/protocol/disconnect.ts";
import type { UserId } from "../client/protocol/user_id.ts";
import type { Connection } from "../core/connections/connection.ts";
import type { Connections } from "../core/connections/connections.ts";

export interface UnknownUsersDeps {
  readonly connections: Pick<Connections, "hub" | "disconnect">;
  readonly log: Log;
  /**
   * Writes the row of a user once more, if the server wrote it before. Resolves with how to close
   * the user's connections if it cannot. Never rejects.
   */
  readonly rewriteUser: (userId: UserId) => Promise<"written" | Disconnect>;
}

export class UnknownUsers {
  readonly #deps: UnknownUsersDeps;
  readonly #onWritten: (userId: UserId) => void;
  /** Connections for which a row was written once more. Each gets one try, so that none loops. */
  readonly #retried = new WeakSet<Connection>();
  /** Users whose row is being written once more. */
  readonly #writing = new Set<UserId>();

  /** @param onWritten The row of a user was written: the user can be claimed again. */
  constructor(deps: UnknownUsersDeps, onWritten: (userId: UserId) => void) {
    this.#deps = deps;
    this.#onWritten = onWritten;
  }

  /** The store does not know a user. */
  handle(userId: UserId): void {
    const { connections: { hub }, rewriteUser } = this.#deps;
    // Its result decides.
    if (this.#writing.has(userId)) return;
    const connections = hub.connectionsOf(userId);
    const isLive = connections.some(({ state }) => state === "live");
    const waiting = connections.filter((one) => !this.#retried.has(one));
    if (isLive || waiting.length === 0) {
      return this.#refuse(connections, DISCONNECT.unknownUser);
    }
    for (const connection of waiting) this.#retried.add(connection);
    this.#writing.add(userId);
    void rewriteUser(userId).then((result) => {
      this.#writing.delete(userId);
      if (result === "written") return this.#onWritten(userId);
      const joining = hub.connectionsOf(userId)
        .filter(({ state }) => state === "joining");
      this.#refuse(joining, result);
    });
  }

  #refuse(refused: readonly Connection[], why: Disconnect): void {
    const { connections, log } = this.#deps;
    for (const connection of refused) {
      const { userId } = connection;
      log.info({ userId, reason: why.reason }, "refused an unknown user");
      connections.disconnect(connection, why);
    }
  }
}
