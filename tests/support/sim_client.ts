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
  ServerMessage,
  UserStatusBroadcast,
} from "../../src/protocol/messages.ts";
import type { UserId } from "../../src/protocol/user_id.ts";
import type { MemoryDatabase } from "./memory_database.ts";

/** What a client asks for when it connects. */
export interface SimSubscription {
  readonly version: 1 | 2;
  /** Version 2: the users that it watches, or all. */
  readonly watch: ReadonlySet<UserId> | "*";
  /** Version 2: the copy that it has from an earlier connection, as of a `seq`. */
  readonly known?: { readonly seq: number; readonly users: Set<UserId> };
}

type Message = UserStatusBroadcast | ServerMessage;

export class SimClient implements Socket {
  readonly userId: UserId;
  readonly subscription: SimSubscription;
  readonly connection: Connection;
  /** The roster's `seq` when the connection was opened. */
  readonly openedSeq: number;
  readonly received: Message[] = [];
  /** Version 2: the client's copy, the online users that it watches as of `seq`. */
  readonly users: Set<UserId>;
  seq: number;
  /** The close code, once the server has closed the connection. */
  closed: number | undefined;
  bufferedAmount = 0;
  readonly #database: MemoryDatabase;

  constructor(
    userId: UserId,
    subscription: SimSubscription,
    openedSeq: number,
    database: MemoryDatabase,
  ) {
    this.userId = userId;
    this.subscription = subscription;
    this.openedSeq = openedSeq;
    this.users = new Set(subscription.known?.users);
    this.seq = subscription.known?.seq ?? -1;
    this.#database = database;
    this.connection = new Connection(userId, this, {
      ...{ version: subscription.version, endsAt: Infinity, receivedAt: 0 },
    });
  }

  send(text: string): void {
    const message: Message = JSON.parse(text);
    this.received.push(message);
    // After a failover, messages may belong to the lost history until a node finds the loss.
    if (this.#database.epoch > 0) return this.#apply(message);
    switch (message.type) {
      case "user_online":
      case "user_offline":
        return this.#checkBroadcast(message);
      default:
        return this.#checkSync(message);
    }
  }

  close(code: number): void {
    this.closed = code;
  }

  /** Whether the client receives changes of this user. */
  isWatching(userId: UserId): boolean {
    const { watch } = this.subscription;
    return watch === "*" || watch.has(userId);
  }

  /** P5: a transition is committed before it is delivered. */
  #checkBroadcast({ type, userId }: UserStatusBroadcast): void {
    const isCommitted = this.#database.feed.some((transition) =>
      transition.userId === userId && type === `user_${transition.status}`
    );
    ok(isCommitted, `[P5] ${type} of ${userId} came before it was committed`);
  }

  /** S1, S2, S4: the copy equals the database as of each `seq`, and a diff has only what changed. */
  #checkSync(message: ServerMessage): void {
    const isFirst = this.received.length === 1;
    const { users, seq, subscription } = this;
    if (message.type === "presence_diff") {
      ok(!isFirst || subscription.known !== undefined, "[S1] first a state");
      ok(message.seq > seq || isFirst, "[S1] seq grows");
      const online = message.online.map(({ id }) => id);
      const changed = [...online, ...message.offline];
      equal(new Set(changed).size, changed.length, "[S1] one change a user");
      for (const id of online) {
        ok(!users.has(id), `[S1] ${id} came online twice`);
      }
      for (const id of message.offline) {
        ok(users.has(id), `[S1] ${id} went offline twice`);
      }
    } else if (message.type !== "presence_state") return;
    this.#apply(message);
    ok(message.seq >= seq, "[S2] the seq of a client does not go back");
    deepEqual(
      [...users].sort(),
      this.#database.onlineAt(message.seq).filter((id) => this.isWatching(id)),
      `[S1] the copy of ${this.userId} as of ${message.seq}`,
    );
  }

  /** Applies a message of version 2 to the copy. */
  #apply(message: Message): void {
    const { users } = this;
    if (message.type === "presence_state") {
      users.clear();
      for (const { id } of message.users) users.add(id);
    } else if (message.type === "presence_diff") {
      for (const { id } of message.online) users.add(id);
      for (const id of message.offline) users.delete(id);
    } else return;
    this.seq = message.seq;
  }
}
