/**
 * The presence: what a client knows at one moment, as one value that never changes.
 *
 * An application that draws from values, as with React, compares two of them with `===`. It knows
 * neither messages nor sockets.
 *
 * @module
 */
import type { ConnectionInfo } from "./connection_info.ts";
import type { UserId } from "./protocol/user_id.ts";
import type { Replica } from "./replica.ts";
import { hasUser, includes, type User } from "./users.ts";

/** What a client knows at one moment. */
export interface Presence {
  /** The watched users who are online, by id. */
  readonly users: ReadonlyMap<UserId, User>;
  /** How many users are online. Larger than `users.size` if the server sends a count and no names. */
  readonly count: number;
  readonly connection: ConnectionInfo;
  /**
   * Whether a user is online. The id may be written in any way: 7 or "7", a UUID in upper case.
   *
   * @returns `undefined` while this is not known: before the first snapshot, for a user who is not
   *   watched, and while the server sends counts.
   */
  readonly isOnline: (id: UserId) => boolean | undefined;
}

/** A user came online or went offline. */
export interface PresenceChange {
  /** What the user is now. */
  readonly type: "online" | "offline";
  /** With `type` `offline`: the user as it was while online. */
  readonly user: User;
}

/** The presence before there is a client, as on a server that renders a page. */
export const NOTHING_KNOWN: Presence = {
  users: new Map(),
  count: 0,
  connection: { state: "connecting" },
  isOnline: () => undefined,
};

/** Copies the users only when they have changed, and only when somebody reads them. */
export class PresenceCache {
  readonly #replica: Replica;
  #presence: Presence = NOTHING_KNOWN;
  #version = 0;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  /** The same value until something changes. */
  read(connection: ConnectionInfo): Presence {
    const { version, count, held } = this.#replica;
    if (version !== this.#version) {
      const users = new Map(this.#replica.users);
      const isOnline = (id: UserId) =>
        includes(held, id) ? hasUser(users, id) : undefined;
      this.#presence = { users, count, connection, isOnline };
      this.#version = version;
    } else if (connection !== this.#presence.connection) {
      this.#presence = { ...this.#presence, connection };
    }
    return this.#presence;
  }
}
