/**
 * A client of the simulation. It checks every message when it arrives.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import {
  Connection,
  type Socket,
} from "../../src/core/connections/connection.ts";
import type {
  PresenceDiff,
  PresenceState,
  ServerMessage,
  UserStatusBroadcast,
} from "../../src/client/protocol/messages.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { FakeClock } from "./fake_clock.ts";
import type { MemoryDatabase } from "./memory_database.ts";

/** The users whose changes a client of version 2 receives. */
export type Scope = ReadonlySet<UserId> | "*";

/** What a client asks for when it connects. */
export interface SimSubscription {
  readonly version: 1 | 2;
  readonly watch: Scope;
  /** Version 2: the copy that it has from an earlier connection, as of a `seq`. */
  readonly known?: { readonly seq: number; readonly users: Set<UserId> };
  /** When its token expires, by the clock of its node. */
  readonly endsAt?: number;
}

/** Holds a client's messages to more than the client can know. */
export interface Judge {
  /** The users of whom the client has a copy as of a `seq`, ids ascending, if it watches all of them. */
  viewAt?(seq: number): UserId[];
  /**
   * Called with each message, before the client takes it.
   *
   * @param scope The users that the client watches with this message.
   */
  receive(message: Message, scope: Scope): void;
  /** Called when nothing is under way, and every message that is due must have come. */
  end?(): void;
}

/** Appoints judges. */
export interface Jury {
  /** @param openedSeq The roster's `seq` when the client connects. */
  judgeOf(
    userId: UserId,
    subscription: SimSubscription,
    openedSeq: number,
  ): Judge;
}

export interface SimClientDeps {
  readonly database: MemoryDatabase;
  /** Left out: the client itself compares what it receives with who is online. */
  readonly judge?: Judge | undefined;
  readonly clock: FakeClock;
  /** Time for which the node is busy with one message. */
  readonly sendMs: number;
}

export type Message = UserStatusBroadcast | ServerMessage;

/** A connection that remembers whether it was ever live. */
export class SimConnection extends Connection {
  wasLive = false;

  override confirm(): void {
    super.confirm();
    this.wasLive ||= this.state === "live";
  }
}

export class SimClient implements Socket {
  readonly userId: UserId;
  readonly version: 1 | 2;
  readonly connection: SimConnection;
  /** The roster's `seq` when the connection was opened. */
  readonly openedSeq: number;
  readonly openedAt: number;
  readonly received: Message[] = [];
  /** Version 2: the client's copy, the online users that it watches as of `seq`. */
  readonly users: Set<UserId>;
  seq: number;
  scope: Scope;
  /** Version 2: the number of online users, while the client receives that and no copy. */
  count: number | undefined;
  /** The close code, once the server has closed the connection. */
  closed: number | undefined;
  /** Whether closing the socket throws. */
  isBroken = false;
  /** Whether its peer ever read nothing for a while. */
  wasSlow = false;
  readonly isOpen = true;
  bufferedAmount = 0;
  /** What was wrong with a message. */
  fault: unknown;
  /** The token that it sent last. */
  lastToken: string | undefined;
  readonly judge: Judge | undefined;
  readonly #deps: SimClientDeps;
  readonly #resumes: boolean;
  /** Whether it has received a state, and not only differences to a copy from elsewhere. */
  #hasState = false;
  /** The newest `seq` of any message, or the one that it resumed with. */
  #newestSeq: number;
  readonly #lastOf = new Map<UserId, UserStatusBroadcast["type"]>();
  readonly #requested = new Map<number, Scope>();

  constructor(
    userId: UserId,
    { version, watch, known, endsAt = Infinity }: SimSubscription,
    openedSeq: number,
    deps: SimClientDeps,
  ) {
    this.userId = userId;
    this.version = version;
    this.scope = watch;
    this.openedSeq = openedSeq;
    this.openedAt = deps.clock.now();
    this.users = new Set(known?.users);
    this.seq = known?.seq ?? -1;
    this.#resumes = known !== undefined;
    this.#newestSeq = this.seq;
    this.#deps = deps;
    this.judge = deps.judge;
    this.connection = new SimConnection(userId, this, {
      ...{ version, endsAt, receivedAt: 0 },
    });
  }

  send(text: string): void {
    try {
      this.#receive(JSON.parse(text));
    } catch (err) {
      // The core takes it for a broken socket.
      this.fault ??= err;
      throw err;
    }
  }

  #receive(message: Message): void {
    const { clock, sendMs } = this.#deps;
    equal(this.closed, undefined, "nothing is sent after a close");
    clock.spend(sendMs);
    this.received.push(message);
    this.judge?.receive(message, this.#scopeWith(message));
    switch (message.type) {
      case "user_online":
      case "user_offline":
        return this.#onBroadcast(message);
      case "watching":
        this.scope = this.#scopeWith(message);
        return;
      case "presence_state":
      case "presence_diff":
        return this.#onCopy(message);
      case "presence_count":
        this.#checkSeq(message.seq);
        this.count = message.online;
        return;
      case "keepalive":
        this.#checkSeq(message.seq);
        if (this.count !== undefined) return;
        this.seq = message.seq;
        return this.#checkCopy();
    }
  }

  close(code: number): void {
    this.closed = code;
    if (this.isBroken) throw new Error("injected: the socket is broken");
  }

  /** Its peer leaves so many bytes unread. */
  stall(bytes: number): void {
    this.wasSlow = true;
    this.bufferedAmount = bytes;
  }

  /** The client is about to send `watch` with this `ref`. */
  request(scope: Scope, ref: number): void {
    this.#requested.set(ref, scope);
  }

  /** Whether the client receives changes of this user. */
  isWatching(userId: UserId): boolean {
    return this.scope === "*" || this.scope.has(userId);
  }

  #scopeWith(message: Message): Scope {
    return message.type === "watching"
      ? this.#requested.get(message.ref) ?? this.scope
      : this.scope;
  }

  /** P5: a transition is committed before it is delivered. P6: the messages of a user alternate. */
  #onBroadcast({ type, userId }: UserStatusBroadcast): void {
    const { database } = this.#deps;
    ok(this.#lastOf.get(userId) !== type, `[P6] ${type} of ${userId} twice`);
    this.#lastOf.set(userId, type);
    // After a failover, messages may belong to the lost history until a node finds the loss.
    if (this.judge !== undefined || database.epoch > 0) return;
    const isCommitted = database.history.some((transition) =>
      transition.userId === userId && type === `user_${transition.status}`
    );
    ok(isCommitted, `[P5] ${type} of ${userId} came before it was committed`);
  }

  /** S1, S2, S4: the copy equals the database as of each `seq`, and a diff has only what changed. */
  #onCopy(message: PresenceState | PresenceDiff): void {
    const { users } = this;
    // A node that has not found yet what a failover lost may be behind the client.
    if (message.type === "presence_diff" || this.#deps.database.epoch === 0) {
      this.#checkSeq(message.seq);
    }
    if (message.type === "presence_diff") {
      const isFirst = this.received.length === 1;
      ok(!isFirst || this.#resumes, "[S1] first a state");
      ok(message.seq > this.seq || isFirst, "[S1] seq grows");
      const online = message.online.map(({ id }) => id);
      const changed = [...online, ...message.offline];
      equal(new Set(changed).size, changed.length, "[S1] one change a user");
      // Its copy may be of a history that its node does not have yet, or has lost.
      const isStrange = this.#deps.database.epoch > 0 && !this.#hasState;
      for (const id of online) {
        ok(!users.has(id) || isStrange, `[S1] ${id} came online twice`);
        users.add(id);
      }
      for (const id of message.offline) {
        ok(users.delete(id) || isStrange, `[S1] ${id} went offline twice`);
      }
    } else {
      this.#hasState = true;
      users.clear();
      for (const { id } of message.users) users.add(id);
    }
    this.count = undefined;
    this.seq = this.#newestSeq = message.seq;
    this.#checkCopy();
  }

  #checkSeq(seq: number): void {
    ok(
      seq >= this.#newestSeq,
      `[S1] seq ${seq} came after ${this.#newestSeq}`,
    );
    this.#newestSeq = seq;
  }

  #checkCopy(): void {
    const { database } = this.#deps;
    if (database.epoch > 0) return;
    const view = this.judge?.viewAt?.(this.seq) ?? database.onlineAt(this.seq);
    deepEqual(
      [...this.users].sort(database.compareIds),
      view.filter((id) => this.isWatching(id)),
      `[S1] the copy of ${this.userId} as of ${this.seq}`,
    );
  }
}
