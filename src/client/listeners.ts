/**
 * The events of a client, and the listeners for each of them.
 *
 * @module
 */
import type { ErrorMessage } from "./protocol/messages.ts";
import type { UserId } from "./protocol/user_id.ts";
import type { ConnectionInfo, ConnectionStatus } from "./connection_info.ts";
import { platform } from "./platform.ts";
import type { Presence, PresenceChange } from "./presence.ts";
import type { User } from "./users.ts";

/** The events of a client, and what each one delivers. */
export interface Events {
  /** A watched user came online. */
  readonly online: PresenceChange;
  /** A watched user went offline. */
  readonly offline: PresenceChange;
  /**
   * `users` was replaced as a whole, without an `online` or `offline` event for each difference:
   * with the first snapshot, when another watch set takes effect, and with each new count if the
   * server does not name the users.
   */
  readonly state: ReadonlyMap<UserId, User>;
  /** The state of the connection changed. */
  readonly connection: ConnectionInfo;
  /**
   * Anything of that changed: once for all that one message changes, as a new value. It is the one
   * event that is needed where an application draws from values, as with React.
   */
  readonly presence: Presence;
  /** @deprecated The former name of `connection`. See {@linkcode ConnectionStatus}. */
  readonly status: ConnectionStatus;
  /**
   * The server refused a request, or the token could not be refreshed. The connection stays
   * open. `code` is for programs: `watch_too_large`, `overloaded`, `token_expiring` ...
   */
  readonly error: ErrorMessage;
}

export class Listeners {
  readonly #byName = new Map<keyof Events, Set<(event: never) => void>>();

  /** Returns a function that removes the listener. */
  add<Name extends keyof Events>(
    name: Name,
    listener: (event: Events[Name]) => void,
  ): () => void {
    const listeners = this.#byName.get(name) ?? new Set();
    this.#byName.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  has(name: keyof Events): boolean {
    return (this.#byName.get(name)?.size ?? 0) > 0;
  }

  /**
   * Calls the listeners of one event, until it is not current any more: a listener may close the
   * client, and the others must not get an older event after a newer one.
   */
  emit<Name extends keyof Events>(
    name: Name,
    event: Events[Name],
    isCurrent: () => boolean,
  ): void {
    for (const listener of [...this.#byName.get(name) ?? []]) {
      if (!isCurrent()) return;
      try {
        (listener as (event: Events[Name]) => void)(event);
      } catch (err) {
        // The error becomes an uncaught one, and the other listeners are still called.
        platform.queueMicrotask(() => {
          throw err;
        });
      }
    }
  }
}
