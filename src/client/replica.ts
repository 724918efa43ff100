/**
 * The client's copy of who is online, right as of one `seq`.
 *
 * It takes the server's messages and tells what really changed by them. It does not know
 * how messages travel, nor when a connection ended.
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
} from "../protocol/messages.ts";
import type { UserId } from "../protocol/user_id.ts";
import { Pace } from "./pace.ts";
import {
  includes,
  toSeq,
  toUserId,
  toUsers,
  type User,
  Users,
  type WatchSet,
} from "./users.ts";

/** Somebody came or went. */
export interface Change {
  readonly type: "online" | "offline";
  readonly user: User;
}

/** What a message brought. */
export interface News {
  readonly changes: readonly Change[];
  /** `users` was made anew for other reasons than that somebody came or went. */
  readonly isAnew: boolean;
  /** `users` is right, about whom we want. */
  readonly isRight: boolean;
}

const NOTHING: News = { changes: [], isAnew: false, isRight: false };
const NOBODY: WatchSet = new Set<UserId>();

/** Longer lists of ids are sent as a message: proxies commonly refuse URLs above 8 KiB. */
const WATCH_QUERY_LENGTH_MAX = 1_500;

export class Replica {
  /** Always what `#held` and `#seq` say: a message that is about others leaves it alone. */
  readonly users: Users = new Users();
  readonly #ask: (watch: Watch) => void;
  readonly #pace = new Pace();
  #wanted: WatchSet;
  /** What the server of this connection tells about. */
  #served: WatchSet;
  /** What it was asked for last, while it has neither agreed nor refused. Never two at once. */
  #asked: WatchSet | undefined;
  #ref = 0;
  /** What `users` is about, as of `#seq`. */
  #held: WatchSet | undefined;
  #seq: number | undefined;
  #count: number | undefined;
  /** Whether the server of this connection has said where we stand. */
  #isAnswered = false;
  /** It said so of users who were not wanted any more, and it was not taken. */
  #isPassedOver = false;

  /** @param ask Sends a wish. */
  constructor(wanted: WatchSet, ask: (watch: Watch) => void) {
    this.#wanted = this.#served = wanted;
    this.#ask = ask;
  }

  /** How many are online, named or not. */
  get count(): number {
    return this.#count ?? this.users.size;
  }

  /** Hears about other users as soon as the server agrees. */
  watch(wanted: WatchSet): void {
    this.#wanted = wanted;
    if (this.#isAnswered) this.#askForWanted();
  }

  /**
   * A new connection: what to ask for in its URL.
   *
   * @param wasRefused The last one was not opened; its list may have been too long.
   */
  begin(query: URLSearchParams, wasRefused: boolean): void {
    this.end();
    this.#served = this.#wanted;
    this.#isPassedOver = false;
    const list = this.#wanted === "*" ? "*" : [...this.#wanted].join();
    const isRisky = wasRefused && list !== "*" && list !== "";
    if (isRisky || list.length > WATCH_QUERY_LENGTH_MAX) {
      // The list follows when there is an answer.
      this.#served = NOBODY;
      query.set("watch", "");
      return;
    }
    if (list !== "*") query.set("watch", list);
    if (this.#held === this.#wanted && this.#seq !== undefined) {
      query.set("since", String(this.#seq));
    }
  }

  /** The connection ended; nothing can be asked until the next begins. */
  end(): void {
    this.#isAnswered = false;
    this.#asked = undefined;
    this.#pace.stop();
  }

  /** What we hold may be wrong: the next connection begins with a whole state. */
  distrust(): void {
    this.#seq = undefined;
  }

  /** @throws for a message that cannot be understood. */
  take(message: ServerMessage): News {
    switch (message.type) {
      case "presence_state":
        return this.#takeState(message);
      case "presence_diff":
        return this.#takeDiff(message);
      case "presence_count":
        return this.#takeCount(message);
      case "keepalive":
        return this.#takeKeepAlive(message);
      case "watching":
        return this.#takeAgreement(message);
      case "error":
        return this.#takeError(message);
      default:
        return passOver(message);
    }
  }

  #takeState(message: PresenceState): News {
    const seq = toSeq(message.seq);
    const users = toUsers(message.users);
    if (!this.#isWanted()) return NOTHING;
    const before = this.#held;
    const served = this.#served;
    const named = new Map(
      users.filter(({ id }) => includes(served, id)).map((
        user,
      ) => [user.id, user]),
    );
    const changes: Change[] = [];
    for (const user of [...this.users.values()]) {
      if (named.has(user.id)) continue;
      this.users.remove(user.id);
      // Whoever is not watched any more did not go.
      if (includes(served, user.id)) changes.push({ type: "offline", user });
    }
    for (const { id, username } of named.values()) {
      const known = this.users.get(id);
      if (known?.username === username) continue;
      // Whoever was not watched before did not come.
      const isNew = known === undefined && includes(before, id);
      const since = isNew ? new Date() : known?.since;
      const user = this.users.put({ id, username, since });
      if (isNew) changes.push({ type: "online", user });
    }
    this.#held = served;
    this.#seq = seq;
    this.#count = undefined;
    return { changes, isAnew: before !== served, isRight: this.#isRight };
  }

  #takeDiff(message: PresenceDiff): News {
    const seq = toSeq(message.seq);
    const online = toUsers(message.online);
    const offline = message.offline.map(toUserId);
    this.#answered();
    if (this.#isPassedOver) return NOTHING;
    if (this.#held !== this.#served || this.#seq === undefined) {
      throw new TypeError("there was no state before this difference");
    }
    const isRight = this.#isRight;
    // What was told already is no news, and what is older was overtaken.
    if (seq <= this.#seq) return { ...NOTHING, isRight };
    this.#seq = seq;
    const changes: Change[] = [];
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
    return { changes, isAnew: false, isRight };
  }

  /** Too many are online to name them. */
  #takeCount(message: PresenceCount): News {
    const count = toSeq(message.online);
    if (!this.#isWanted()) return NOTHING;
    this.#count = count;
    this.users.empty();
    this.#held = this.#seq = undefined;
    return { changes: [], isAnew: true, isRight: this.#isRight };
  }

  /** Nothing happened, until this `seq`, to those whom we are told about. */
  #takeKeepAlive(message: KeepAlive): News {
    const seq = toSeq(message.seq);
    const isOurs = this.#held === this.#served && !this.#isPassedOver;
    if (isOurs && this.#seq !== undefined) this.#seq = seq;
    return NOTHING;
  }

  /** From here on the server tells about those whom we asked for, first of all a state. */
  #takeAgreement({ ref }: Watching): News {
    if (this.#asked === undefined || ref !== this.#ref) return NOTHING;
    this.#served = this.#asked;
    this.#asked = undefined;
    return NOTHING;
  }

  /** The server goes on as before; so do we, unless there is a newer wish. */
  #takeError({ code, message, ref }: ErrorMessage): News {
    if (this.#asked === undefined || ref !== this.#ref) return NOTHING;
    if (code === "overloaded" && this.#served === NOBODY) {
      // Before this connection there was more than nobody, and another node may have room.
      throw new Error(message);
    }
    if (this.#wanted === this.#asked) this.#wanted = this.#served;
    this.#asked = undefined;
    if (this.#isRight) return { ...NOTHING, isRight: true };
    this.#askForWanted();
    return NOTHING;
  }

  /** Whether `users` is, with this message, right about whom we want. */
  get #isRight(): boolean {
    return this.#served === this.#wanted && !this.#isPassedOver;
  }

  /** Whether what the server says of where we stand is to be taken. If not, it is asked again. */
  #isWanted(): boolean {
    this.#answered();
    this.#isPassedOver = this.#served !== this.#wanted;
    return !this.#isPassedOver;
  }

  #answered(): void {
    this.#isAnswered = true;
    if (this.#served !== this.#wanted) this.#askForWanted();
  }

  #askForWanted(): void {
    if (this.#asked !== undefined) return;
    this.#pace.take(() => {
      this.#asked = this.#wanted;
      const userIds = this.#wanted === "*" ? "*" : [...this.#wanted];
      this.#ask({ type: "watch", userIds, ref: this.#ref += 1 });
    });
  }
}

/** A later server may have more to say. */
function passOver(message: { readonly type?: unknown }): News {
  if (typeof message.type === "string") return NOTHING;
  throw new TypeError("a message has no type");
}
