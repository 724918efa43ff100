/**
 * A subscriber is the delivery state of one connection: what its client was sent, and which
 * message it needs next.
 *
 * The state of version 2 is a union: each member has the fields of that state and no others. So the
 * compiler rejects, for example, a watch set on a connection that receives counts. Which users it may
 * see is not decided here: the view of its audience does. A subscriber does not know the other
 * subscribers. It encodes nothing and sends nothing.
 *
 * @module
 */
import type { UserId } from "../../client/protocol/user_id.ts";
import type { Connection } from "../connections/connection.ts";
import {
  type Change,
  type MergedSightings,
  mergeSighting,
  type Sighting,
} from "../roster/change.ts";
import type { Audience } from "./audience.ts";
import { RESUME_CHANGES_PER_ID_MAX } from "./limits.ts";

export type Subscriber = V1Subscriber | V2Subscriber;

/** Since when the peer has read nothing, in milliseconds, and the unsent bytes at the last visit. */
export interface Stall {
  readonly since: number;
  readonly bytes: number;
}

/** Version 1: one message for each change. */
export class V1Subscriber {
  readonly connection: Connection;
  /** `undefined`: the connection is not live, or the groups of its user are not known yet. */
  audience: Audience | undefined = undefined;
  /**
   * Position in the ring of the next change to send. Invariant: every earlier change was sent, is
   * queued, or does not concern the connection.
   */
  cursor: number;
  /** Messages from before the user came into other groups. They precede the changes. */
  readonly queue: string[] = [];
  /** `undefined`: the peer reads. */
  stall: Stall | undefined = undefined;

  constructor(connection: Connection, cursor: number) {
    this.connection = connection;
    this.cursor = cursor;
  }

  /** Version 1 receives the changes of every user but its own. */
  concerns({ userId }: Pick<Change, "userId">): boolean {
    return userId !== this.connection.userId;
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
  copy: NeedsSnapshot | Following | Watching;
  /** Control messages that wait for the first snapshot, diff or count. */
  readonly queuedControl: string[];
}

/** A diff cannot bring the client up to date. It needs a snapshot, or a count. */
export interface NeedsSnapshot {
  readonly kind: "needs snapshot";
  readonly scope: Scope;
  /** The `ref` of the `watch` that the snapshot answers, if the client sent one. */
  readonly ref: number | undefined;
  /** Whether a `watch` asked for it. */
  readonly isAsked: boolean;
}

/** The client has a copy of every online user. */
export interface Following {
  readonly kind: "following";
  /** Position in the ring of the next change to send. The copy includes every earlier change. */
  cursor: number;
  /** The `seq` with which the client resumed. No message to it has an older one. */
  readonly since?: number;
}

/** The client has a copy of the online users among those that it watches. */
export interface Watching {
  readonly kind: "watching";
  readonly scope: ReadonlySet<UserId>;
  /** Watched users that changed after the copy. */
  readonly changed: MergedSightings;
}

/** Too many users are online for a snapshot. The client receives their number. */
export interface Counting {
  readonly kind: "counting";
  /** Position in the ring when the last count was sent. Less than that makes a count due. */
  cursor: number;
}

/** The state of the client's copy of the online users. */
export type CopyState = NeedsSnapshot | Following | Watching | Counting;

export type V2State = Opening | CopyState;

/** Version 2: a snapshot, then diffs. */
export class V2Subscriber {
  readonly connection: Connection;
  /** `undefined`: the connection is not live, or the groups of its user are not known yet. */
  audience: Audience | undefined = undefined;
  /** The `seq` with which the client connected, until it is resumed or needs a snapshot. */
  since: number | undefined;
  /** `undefined`: the peer reads. */
  stall: Stall | undefined = undefined;
  /** When a message was last sent, in milliseconds by the core's clock. */
  lastSentAt = -Infinity;
  #state: V2State;

  constructor(connection: Connection, scope: Scope, since?: number) {
    this.connection = connection;
    this.since = since;
    const copy = needsSnapshot(scope);
    this.#state = { kind: "opening", copy, queuedControl: [] };
  }

  /**
   * The client connected with a copy as of `since`, which includes every change before `cursor`. For
   * a small watch set, a snapshot costs less than a walk over many changes.
   */
  resume(audience: Audience, cursor: number, since: number): void {
    const { scope } = this;
    if (scope === "*") {
      return this.#setCopy({ kind: "following", cursor, since });
    }
    const most = RESUME_CHANGES_PER_ID_MAX * scope.size;
    const changes = audience.view.changesFrom(cursor, most + 1);
    if (changes.length > most) return;
    this.#setCopy({ kind: "watching", scope, changed: new Map() });
    for (const change of changes) {
      const sighting = audience.view.sightingOf(change);
      if (sighting !== undefined) this.record(sighting);
    }
  }

  get state(): V2State {
    return this.#state;
  }

  /** What the client has, or will have with the next message. Also while it is opening. */
  get copy(): CopyState {
    return this.#state.kind === "opening" ? this.#state.copy : this.#state;
  }

  get scope(): Scope {
    const { copy } = this;
    return "scope" in copy ? copy.scope : "*";
  }

  /** Whether a snapshot, diff or count is due. `end`: the position after the newest change that it may see. */
  isBehind(end: number): boolean {
    const state = this.#state;
    switch (state.kind) {
      case "opening":
      case "needs snapshot":
        return true;
      case "following":
      case "counting":
        return state.cursor < end;
      case "watching":
        return state.changed.size > 0;
    }
  }

  /** Position in the ring of the next change to send. `undefined`: this state does not read the ring. */
  get cursor(): number | undefined {
    const { copy } = this;
    return "cursor" in copy ? copy.cursor : undefined;
  }

  /** The client asked for these users, and needs a snapshot of them. */
  watch(scope: Scope, ref?: number): void {
    this.since = undefined;
    this.#setCopy({ kind: "needs snapshot", scope, ref, isAsked: true });
  }

  /** The roster was replaced, or the user sees others now: a diff cannot bring the client up to date. */
  requireSnapshot(): void {
    const { copy } = this;
    this.since = undefined;
    if (copy.kind === "counting") copy.cursor = -1;
    else if (copy.kind !== "needs snapshot") {
      this.#setCopy(needsSnapshot(this.scope));
    }
  }

  /**
   * Records a sighting of a watched user, for the next diff. In other states there is nothing to
   * record.
   */
  record(sighting: Sighting): void {
    const { copy } = this;
    if (copy.kind !== "watching" || !copy.scope.has(sighting.userId)) return;
    mergeSighting(copy.changed, sighting);
  }

  /** A snapshot, diff or count is sent. Returns the control messages that waited for it. */
  establish(state: Following | Watching | Counting): readonly string[] {
    const before = this.#state;
    this.#state = state;
    return before.kind === "opening" ? before.queuedControl : NONE;
  }

  /** Control messages that wait go on waiting. */
  #setCopy(copy: Opening["copy"]): void {
    if (this.#state.kind === "opening") this.#state.copy = copy;
    else this.#state = copy;
  }
}

const NONE: readonly string[] = [];

function needsSnapshot(scope: Scope): NeedsSnapshot {
  return { kind: "needs snapshot", scope, ref: undefined, isAsked: false };
}
