/**
 * Users and sets of them, as the client has them, and what is read from messages into them.
 *
 * @module
 */
import {
  type OnlineUserInfo,
  WATCHED_USERS_MAX,
} from "../protocol/messages.ts";
import { parseUserId, type UserId } from "../protocol/user_id.ts";

/** Somebody who is online. */
export interface User extends OnlineUserInfo {
  /** When this client was told so; nothing for those who were online before. */
  readonly since: Date | undefined;
}

/** Whom to hear about. Compared by identity: each call of `watch` makes a new one. */
export type WatchSet = ReadonlySet<UserId> | "*";

/** A map that its owner changes and nobody else. */
export class Users extends Map<UserId, User> {
  /** @internal */
  put(user: User): User {
    super.set(user.id, user);
    return user;
  }
  /** @internal */
  remove(id: UserId): void {
    super.delete(id);
  }
  /** @internal */
  empty(): void {
    super.clear();
  }
  override set(): never {
    throw new TypeError("Cannot change the users: they follow the server");
  }
  override delete(): never {
    return this.set();
  }
  override clear(): never {
    return this.set();
  }
}

/** @throws {TypeError} for what is no user id, and for more of them than any server takes. */
export function toWatchSet(ids: Iterable<UserId> | "*"): WatchSet {
  if (ids === "*") return "*";
  if (typeof ids !== "object" || ids === null) {
    const got = JSON.stringify(ids);
    throw new TypeError(`Cannot watch ${got}: expected user ids, or "*"`);
  }
  const set = new Set([...ids].map(toUserId));
  if (set.size <= WATCHED_USERS_MAX) return set;
  const expected = `expected at most ${WATCHED_USERS_MAX}`;
  throw new TypeError(`Cannot watch ${set.size} users: ${expected}`);
}

export function includes(set: WatchSet | undefined, id: UserId): boolean {
  return set === "*" || set?.has(id) === true;
}

export function toUserId(value: unknown): UserId {
  const id = typeof value === "number" ? parseUserId(value) : undefined;
  if (id !== undefined) return id;
  throw new TypeError(`Cannot take ${value}: expected a user id`);
}

export function toUsers(users: readonly OnlineUserInfo[]): OnlineUserInfo[] {
  return users.map(({ id, username }) => ({
    id: toUserId(id),
    username: String(username),
  }));
}

export function toSeq(value: unknown): number {
  if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value);
  throw new TypeError(`Cannot take ${value}: expected a whole number`);
}
