/**
 * A subscriber is the delivery state of one connection: what its client was sent, and which
 * message it needs next.
 *
 * This file alone decides which changes matter to a connection (`concerns`). The state of
 * version 2 is a union: each member has the fields of that state and no others. So the compiler
 * rejects, for example, a watch set on a connection that receives counts. A subscriber does not
 * know the other subscribers. It encodes nothing and sends nothing.
 *
 * @module
 */
import type { Status } from "../../protocol/messages.ts";
import type { UserId } from "../../protocol/user_id.ts";
import type { Connection } from "../connections/connection.ts";
import type { Change, Ring } from "../roster/ring.ts";
import type { Stall } from "./slow_consumer.ts";

export type Subscriber = V1Subscriber | V2Subscriber;

/** Version 1: one message for each change. */
export class V1Subscriber {
  readonly connection: Connection;
  /**
   * Position in the ring of the next change to send. Invariant: every earlier change was sent or
   * does not concern the connection.
   */
  cursor: number;
  /** `undefined`: the peer reads. */
  stall: Stall | undefined;

  constructor(connection: Connection, cursor: number) {
    this.connection = connection;
    this.cursor = cursor;
    this.stall = undefined;
  }

  /** Version 1 receives the changes of every user but its own. */
  concerns({ userId }: Change): boolean {
    return userId !== this.connection.userId;
  }

  /** Changes before `head` that were not sent. */
  lag(head: number): number {
    return head - this.cursor;
  }
}

/** The users whose changes a version 2 client asked for. `"*"`: every user. */
export type Scope = ReadonlySet<UserId> | "*";

/** Nothing was sent on this connection. */
export interface Opening {
  readonly kind: "opening";
  /**
   * The copy with which the client connected. A client that resumes has one, and receives a first
   * diff even if it is empty: that is the answer to its `since`.
   */
  readonly copy: NeedsSnapshot | Following | Watching;
  /** Control messages that wait for the first snapshot, diff or count. */
  readonly queuedControl: string[];
}

/** A diff cannot bring the client up to date. It needs a snapshot, or a count. */
export interface NeedsSnapshot {
  readonly kind: "needs snapshot";
  readonly scope: Scope;
  /** The `ref` of the `watch` that the snapshot answers, if the client sent one. */
  readonly ref: number | undefined;
}

/** The client has a copy of every online user. */
export interface Following {
  readonly kind: "following";
  /** Position in the ring of the next change to send. The copy includes every earlier change. */
  cursor: number;
}

/** The client has a copy of the online users among those that it watches. */
export interface Watching {
  readonly kind: "watching";
  readonly ids: ReadonlySet<UserId>;
  /**
   * Watched users that changed after the copy, each with the status of its first change.
   * Statuses alternate, so a user differs from the copy only if it still has this status.
   */
  readonly changed: Map<UserId, Status>;
}

/** Too many users are online for a snapshot. The client receives their number. */
export interface Counting {
  readonly kind: "counting";
  /** Position in the ring when the last count was sent, or `NEVER`. */
  cursor: number;
}

/** The state of the client's copy of the online users. */
export type CopyState = NeedsSnapshot | Following | Watching | Counting;

export type V2State = Opening | CopyState;

/** A position before every other, so that a count is due. */
const NEVER = -1;

/** Version 2: a snapshot, then diffs. */
export class V2Subscriber {
  readonly connection: Connection;
  /** `undefined`: the peer reads. */
  stall: Stall | undefined;
  /** When a message was last sent, in milliseconds by the core's clock. */
  lastSentAt: number;
  #state: V2State;

  private constructor(connection: Connection, copy: Opening["copy"]) {
    this.connection = connection;
    this.stall = undefined;
    this.lastSentAt = -Infinity;
    this.#state = { kind: "opening", copy, queuedControl: [] };
  }

  /** The client has no copy, or one that a diff cannot bring up to date. */
  static withoutCopy(connection: Connection, scope: Scope): V2Subscriber {
    const copy = { kind: "needs snapshot", scope, ref: undefined } as const;
    return new V2Subscriber(connection, copy);
  }

  /** The client has a copy that includes every change before `cursor`. */
  static resuming(
    connection: Connection,
    scope: Scope,
    cursor: number,
    ring: Ring,
  ): V2Subscriber {
    if (scope === "*") {
      return new V2Subscriber(connection, { kind: "following", cursor });
    }
    const copy: Watching = { kind: "watching", ids: scope, changed: new Map() };
    const subscriber = new V2Subscriber(connection, copy);
    for (let at = cursor; at < ring.head; at++) subscriber.record(ring.at(at));
    return subscriber;
  }

  get state(): V2State {
    return this.#state;
  }

  get scope(): Scope {
    const copy = copyOf(this.#state);
    if (copy.kind === "needs snapshot") return copy.scope;
    return copy.kind === "watching" ? copy.ids : "*";
  }

  /** Version 2 receives the changes of the users in its scope, its own user included. */
  concerns({ userId }: Change): boolean {
    return this.scope === "*" || this.scope.has(userId);
  }

  /** Whether a snapshot, diff or count is due. `head`: the position after the newest change. */
  isBehind(head: number): boolean {
    const state = this.#state;
    switch (state.kind) {
      case "opening":
      case "needs snapshot":
        return true;
      case "following":
      case "counting":
        return state.cursor < head;
      case "watching":
        return state.changed.size > 0;
    }
  }

  /** Changes before `head` that were not sent. 0 for states that do not read the ring. */
  lag(head: number): number {
    const copy = copyOf(this.#state);
    const hasCursor = copy.kind === "following" ||
      copy.kind === "counting" && copy.cursor !== NEVER;
    return hasCursor ? head - copy.cursor : 0;
  }

  /** The client asked for these users, and needs a snapshot of them. */
  watch(scope: Scope, ref: number | undefined): void {
    const copy: NeedsSnapshot = { kind: "needs snapshot", scope, ref };
    const state = this.#state;
    this.#state = state.kind === "opening" ? { ...state, copy } : copy;
  }

  /** The roster was replaced, so a diff cannot bring the client up to date. */
  requireSnapshot(): void {
    const copy = copyOf(this.#state);
    if (copy.kind === "counting") copy.cursor = NEVER;
    else if (copy.kind !== "needs snapshot") this.watch(this.scope, undefined);
  }

  /** Records a change for the next diff of a watch set. In other states there is nothing to record. */
  record(change: Change): void {
    const copy = copyOf(this.#state);
    if (copy.kind !== "watching" || !this.concerns(change)) return;
    const { userId, status } = change;
    if (!copy.changed.has(userId)) copy.changed.set(userId, status);
  }

  /** A snapshot, diff or count is sent. Returns the control messages that waited for it. */
  establish(state: Following | Watching | Counting): readonly string[] {
    const before = this.#state;
    this.#state = state;
    return before.kind === "opening" ? before.queuedControl : NONE;
  }
}

const NONE: readonly string[] = [];

function copyOf(state: V2State): CopyState {
  return state.kind === "opening" ? state.copy : state;
}
