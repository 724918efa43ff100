/**
 * The replica: the client's copy of the online users, as of one `seq` of the feed.
 *
 * It owns the copy and the watch sets, applies the server's messages, and returns what changed.
 * It does not know how messages travel, nor why a connection ended.
 *
 * A new watch set takes effect after a round trip, so there are three sets: `#wanted` is what
 * the application asked for last, `#served` is what the server sends on this connection, and
 * `#held` is what `users` covers. `#held` and `#seq` change together with `users`, so that the
 * next connection can resume from them whatever was requested or refused meanwhile.
 *
 * @module
 */
import type {
  ErrorMessage,
  KeepAlive,
  PresenceCount,
  PresenceDiff,
  PresenceState,
  ServerMessage,
  Watch,
  Watching,
} from "./protocol/messages.ts";
import { formatIdList } from "./protocol/user_id.ts";
import { type Platform, platform } from "./platform.ts";
import type { PresenceChange } from "./presence.ts";
import { Throttle } from "./throttle.ts";
import {
  includes,
  toUserId,
  toUsers,
  toWholeNumber,
  Users,
  WatchedIds,
  type WatchSet,
} from "./users.ts";

/** What one message changed. */
export interface Update {
  readonly changes: readonly PresenceChange[];
  /** `users` was replaced, and `changes` does not contain every difference. */
  readonly isReset: boolean;
  /** `users` is current for the wanted watch set. */
  readonly isCurrent: boolean;
}

const NO_UPDATE: Update = { changes: [], isReset: false, isCurrent: false };
const NOBODY: WatchSet = new WatchedIds([]);

/** A longer list of ids is sent as a message: proxies commonly refuse URLs above 8 KiB. */
const WATCH_QUERY_LENGTH_MAX = 1_500;

export class Replica {
  /** The online users of `#held` as of `#seq`. Empty while the server sends counts. */
  readonly users: Users = new Users();
  readonly #send: (watch: Watch) => void;
  readonly #throttle: Throttle;
  #wanted: WatchSet;
  #served: WatchSet;
  /** The watch set of the request without an answer yet. There is never a second request. */
  #requested: WatchSet | undefined;
  #ref = 0;
  #held: WatchSet | undefined;
  #version = 0;
  #seq: number | undefined;
  /** How many are online, if the server sends counts instead of names. */
  #count: number | undefined;
  /** Whether this connection has received its first state, diff or count. */
  #isReady = false;
  /** The server's last state or count was for a set that is not wanted, and was skipped. */
  #isSkipping = false;

  /** @param send Sends a `watch` message. */
  constructor(
    wanted: WatchSet,
    send: (watch: Watch) => void,
    host: Platform = platform,
  ) {
    this.#wanted = this.#served = wanted;
    this.#send = send;
    this.#throttle = new Throttle(host);
  }

  /** What `users` covers. `undefined` before the first snapshot, and while the server sends counts. */
  get held(): WatchSet | undefined {
    return this.#held;
  }

  /** Grows with each change of `users`, `held` or `count`. */
  get version(): number {
    return this.#version;
  }

  /** How many users are online, including those that the server counts but does not name. */
  get count(): number {
    return this.#count ?? this.users.size;
  }

  /** Changes the watch set as soon as the server accepts it. */
  watch(wanted: WatchSet): void {
    this.#wanted = wanted;
    if (this.#isReady) this.#requestWanted();
  }

  /**
   * A new connection starts. Returns the query of its URL: `since` and `watch`.
   *
   * @param wasRefused The last socket never opened; the list of ids in its URL may be the reason.
   */
  startConnection(wasRefused: boolean): string {
    this.endConnection();
    this.#served = this.#wanted;
    this.#isSkipping = false;
    const list = this.#wanted === "*" ? "*" : formatIdList(this.#wanted.ids);
    const isRisky = wasRefused && list !== "*" && list !== "";
    if (isRisky || list.length > WATCH_QUERY_LENGTH_MAX) {
      // Watches nobody first. A `watch` message with the list follows the first state.
      this.#served = NOBODY;
      return "watch=";
    }
    const watch = list === "*" ? [] : [`watch=${list}`];
    if (this.#held !== this.#wanted || this.#seq === undefined) {
      return watch.join();
    }
    return [`since=${this.#seq}`, ...watch].join("&");
  }

  /** The connection ended: nothing is sent until the next one starts. */
  endConnection(): void {
    this.#isReady = false;
    this.#requested = undefined;
    this.#throttle.cancel();
  }

  /** A message could not be applied: the next connection starts with a snapshot, not a resume. */
  requireSnapshot(): void {
    this.#seq = undefined;
  }

  /**
   * Applies a message.
   *
   * @throws {TypeError} for a message that is malformed or out of order.
   * @throws {Error} if a node has no capacity for the watch set, so that another node is tried.
   */
  apply(message: ServerMessage): Update {
    switch (message.type) {
      case "presence_state":
        return this.#applyState(message);
      case "presence_diff":
        return this.#applyDiff(message);
      case "presence_count":
        return this.#applyCount(message);
      case "keepalive":
        return this.#applyKeepAlive(message);
      case "watching":
        return this.#applyWatching(message);
      case "error":
        return this.#applyError(message);
      default:
        return ignore(message);
    }
  }

  #applyState(message: PresenceState): Update {
    const seq = toWholeNumber(message.seq);
    const users = toUsers(message.users);
    if (!this.#acceptsState()) return NO_UPDATE;
    const before = this.#held;
    const served = this.#served;
    const online = new Map(
      users.filter(({ id }) => includes(served, id))
        .map((user) => [user.id, user]),
    );
    const changes: PresenceChange[] = [];
    for (const user of [...this.users.values()]) {
      if (online.has(user.id)) continue;
      this.users.remove(user.id);
      // A user who is no longer watched did not go offline.
      if (includes(served, user.id)) changes.push({ type: "offline", user });
    }
    for (const { id, username } of online.values()) {
      const known = this.users.get(id);
      if (known?.username === username) continue;
      // A user who was not watched before did not come online.
      const isNew = known === undefined && includes(before, id);
      const since = isNew ? new Date() : known?.since;
      const user = this.users.put({ id, username, since });
      if (isNew) changes.push({ type: "online", user });
    }
    this.#held = served;
    this.#seq = seq;
    this.#count = undefined;
    const isReset = before !== served;
    this.#version += 1;
    return { changes, isReset, isCurrent: this.#isCurrent };
  }

  #applyDiff(message: PresenceDiff): Update {
    const seq = toWholeNumber(message.seq);
    const online = toUsers(message.online);
    const offline = message.offline.map(toUserId);
    this.#markReady();
    if (this.#isSkipping) return NO_UPDATE;
    if (this.#held !== this.#served || this.#seq === undefined) {
      throw new TypeError("a presence_diff came before any presence_state");
    }
    const isCurrent = this.#isCurrent;
    // A repeated or older diff changes nothing.
    if (seq <= this.#seq) return { ...NO_UPDATE, isCurrent };
    this.#seq = seq;
    if (online.length + offline.length > 0) this.#version += 1;
    const changes: PresenceChange[] = [];
    for (const id of offline) {
      const user = this.users.get(id);
      if (user === undefined) continue;
      this.users.remove(id);
      changes.push({ type: "offline", user });
    }
    for (const { id, username } of online) {
      const known = this.users.get(id);
      const since = known === undefined ? new Date() : known.since;
      const user = this.users.put({ id, username, since });
      if (known === undefined) changes.push({ type: "online", user });
    }
    return { changes, isReset: false, isCurrent };
  }

  /** So many users are online that the server sends their number instead of their names. */
  #applyCount(message: PresenceCount): Update {
    const count = toWholeNumber(message.online);
    if (!this.#acceptsState()) return NO_UPDATE;
    this.#count = count;
    this.#version += 1;
    this.users.empty();
    this.#held = this.#seq = undefined;
    return { changes: [], isReset: true, isCurrent: this.#isCurrent };
  }

  /** Nothing changed up to this `seq`, so the next connection can resume from it. */
  #applyKeepAlive(message: KeepAlive): Update {
    const seq = toWholeNumber(message.seq);
    const isForHeld = this.#held === this.#served && !this.#isSkipping;
    if (isForHeld && this.#seq !== undefined) this.#seq = seq;
    return NO_UPDATE;
  }

  /** The server accepts the watch set. A state or count for it is the next message. */
  #applyWatching({ ref }: Watching): Update {
    if (this.#requested === undefined || ref !== this.#ref) return NO_UPDATE;
    this.#served = this.#requested;
    this.#requested = undefined;
    return NO_UPDATE;
  }

  /**
   * The server refuses the watch set and keeps the one before. The client does the same, unless
   * the application has called `watch` again meanwhile.
   */
  #applyError({ code, message, ref }: ErrorMessage): Update {
    if (this.#requested === undefined || ref !== this.#ref) return NO_UPDATE;
    if (code === "overloaded" && this.#served === NOBODY) {
      // `NOBODY` was only the start of this connection. Another node may accept the whole set.
      throw new Error(message);
    }
    if (this.#wanted === this.#requested) this.#wanted = this.#served;
    this.#requested = undefined;
    if (this.#isCurrent) return { ...NO_UPDATE, isCurrent: true };
    this.#requestWanted();
    return NO_UPDATE;
  }

  /** Whether `users` is current for the wanted set, once the message at hand is applied. */
  get #isCurrent(): boolean {
    return this.#served === this.#wanted && !this.#isSkipping;
  }

  /** Whether a state or count is for the wanted set. If not, it is skipped and the wanted set requested. */
  #acceptsState(): boolean {
    this.#markReady();
    this.#isSkipping = this.#served !== this.#wanted;
    return !this.#isSkipping;
  }

  #markReady(): void {
    this.#isReady = true;
    if (this.#served !== this.#wanted) this.#requestWanted();
  }

  #requestWanted(): void {
    if (this.#requested !== undefined) return;
    this.#throttle.run(() => {
      this.#requested = this.#wanted;
      const userIds = this.#wanted === "*" ? "*" : [...this.#wanted.ids];
      this.#send({ type: "watch", userIds, ref: this.#ref += 1 });
    });
  }
}

/** Ignores a type that this version does not know: a later server may send more. */
function ignore(message: { readonly type?: unknown }): Update {
  if (typeof message.type === "string") return NO_UPDATE;
  throw new TypeError("a message has no type");
}
