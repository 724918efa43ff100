/**
 * Users and watch sets as the client holds them, and the checks on values that become one.
 *
 * @module
 */
import { type OnlineUserInfo, WATCHED_USERS_MAX } from "./protocol/messages.ts";
import { idKey, type UserId, userIds } from "./protocol/user_id.ts";

/** A user who is online. */
export interface User extends OnlineUserInfo {
  /** When this client saw the user come online; `undefined` if the user was online before that. */
  readonly since: Date | undefined;
}

/**
 * The users that a client watches; `"*"` is all users. Watch sets are compared by identity:
 * two calls of `watch` with equal ids are two watch sets.
 */
export type WatchSet = WatchedIds | "*";

/** Ids as the application wrote them, which may differ from how the server writes them. */
export class WatchedIds {
  readonly ids: ReadonlySet<UserId>;
  readonly #keys: ReadonlySet<string>;

  constructor(ids: Iterable<UserId>) {
    this.ids = new Set(ids);
    this.#keys = new Set([...this.ids].map(idKey));
  }

  has(id: UserId): boolean {
    return this.#keys.has(idKey(id));
  }
}

/** A map that applications can only read: `set`, `delete` and `clear` throw a `TypeError`. */
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
    throw new TypeError("Cannot change users: this map is read-only");
  }
  override delete(): never {
    return this.set();
  }
  override clear(): never {
    return this.set();
  }
}

/** @throws {TypeError} if an element is not a user id, and for more than {@linkcode WATCHED_USERS_MAX} ids. */
export function toWatchSet(ids: Iterable<UserId> | "*"): WatchSet {
  if (ids === "*") return "*";
  if (typeof ids !== "object" || ids === null) {
    const got = JSON.stringify(ids);
    throw new TypeError(`Cannot watch ${got}: expected user ids, or "*"`);
  }
  const watched = new WatchedIds([...ids].map(toUserId));
  const { size } = watched.ids;
  if (size <= WATCHED_USERS_MAX) return watched;
  const expected = `expected at most ${WATCHED_USERS_MAX}`;
  throw new TypeError(`Cannot watch ${size} users: ${expected}`);
}

/** Whether a user is among them, whichever way the id is written: see `idKey`. */
export function hasUser(users: ReadonlyMap<UserId, User>, id: UserId): boolean {
  const key = idKey(id);
  const number = Number(key);
  return users.has(id) || users.has(key) ||
    String(number) === key && users.has(number);
}

export function includes(set: WatchSet | undefined, id: UserId): boolean {
  return set === "*" || set?.has(id) === true;
}

/** The client does not know the server's type: it takes every number and every text that may be an id. */
const NUMBERS = userIds("bigint");
const TEXTS = userIds("text");

/** @throws {TypeError} if the value is not a user id of any type. */
export function toUserId(value: unknown): UserId {
  const ids = typeof value === "number" ? NUMBERS : TEXTS;
  const id = ids.parse(value);
  if (id !== undefined) return id;
  const expected =
    `expected a whole number from 1 to ${Number.MAX_SAFE_INTEGER}, or text`;
  throw new TypeError(`Cannot use ${value} as a user id: ${expected}`);
}

/** @throws {TypeError} if an id is not a user id. */
export function toUsers(users: readonly OnlineUserInfo[]): OnlineUserInfo[] {
  return users.map(({ id, username }) => ({
    id: toUserId(id),
    username: String(username),
  }));
}

/** Checks a `seq` or a count. @throws {TypeError} for any other value. */
export function toWholeNumber(value: unknown): number {
  if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value);
  throw new TypeError(`Cannot use ${value}: expected a whole number`);
}
