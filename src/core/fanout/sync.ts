/**
 * The sync keeps the copies of version 2 clients equal to the roster: a snapshot first, then
 * merged diffs.
 *
 * A visit reads the subscriber's state, sends the message that brings the client up to date, and
 * sets the new state. The sync does not know how a message is encoded: `sync_messages.ts` does.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import { CLIENT_MESSAGES_MAX } from "../../base/limits.ts";
import type { Metrics } from "../../base/metrics.ts";
import { TokenBuckets } from "../../base/token_buckets.ts";
import type { UserId } from "../../client/protocol/user_id.ts";
import type { Roster } from "../roster/roster.ts";
import {
  COUNT_INTERVAL_MS,
  SEND_BUFFER_BYTES_MAX,
  STATE_USERS_RETURN_SHARE,
  WATCH_BURST_BYTES,
  WATCH_BYTES_PER_SECOND_MAX,
  WATCH_USERS_MAX,
} from "./limits.ts";
import type { Visited } from "./pump.ts";
import type { Sender } from "./sender.ts";
import type {
  Counting,
  Following,
  Scope,
  V2Subscriber,
  Watching,
} from "./subscriber.ts";
import type { Subscriptions } from "./subscriptions.ts";
import {
  type Diff,
  encodeError,
  encodeWatching,
  SyncMessages,
} from "./sync_messages.ts";

export interface SyncDeps {
  readonly subscriptions: Subscriptions;
  readonly roster: Roster;
  readonly sender: Sender;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "merged">;
  /** Users online above which version 2 receives their number and not a snapshot. */
  readonly stateUsersMax: number;
}

export class Sync {
  readonly #deps: SyncDeps;
  readonly #messages: SyncMessages;
  /** Bytes of snapshots that a user may still get by `watch`. */
  readonly #budgets: TokenBuckets<UserId>;

  constructor(deps: SyncDeps) {
    this.#deps = deps;
    this.#messages = new SyncMessages(deps.roster, deps.metrics);
    this.#budgets = new TokenBuckets(
      ...[WATCH_BURST_BYTES, WATCH_BYTES_PER_SECOND_MAX] as const,
      ...[WATCH_USERS_MAX, () => deps.clock.now()] as const,
    );
  }

  /** Begins a pass, and returns the subscribers to visit. Its diffs end where the ring ends now. */
  beginPass(): Iterable<V2Subscriber> {
    this.#messages.beginPass();
    return this.#deps.subscriptions.pendingSubscribers();
  }

  /** Sends what brings the client up to date. */
  visit(subscriber: V2Subscriber): Visited {
    const { connection } = subscriber;
    if (connection.state !== "live") return "idle";
    if (!subscriber.isBehind(this.#messages.head)) return "idle";
    // A later message will contain what this one would, so nothing is queued behind unsent bytes.
    if (connection.bufferedBytes > 0) {
      return this.#deps.sender.defer(subscriber);
    }
    subscriber.stall = undefined;
    const { copy } = subscriber;
    switch (copy.kind) {
      case "needs snapshot":
        if (!this.#budgets.has(connection.userId)) return "retry later";
        if (copy.ref !== undefined) {
          this.#send(subscriber, encodeWatching(copy.ref));
        }
        return this.#sendSnapshot(subscriber, copy.scope);
      case "following":
        return this.#sendChanges(subscriber, copy);
      case "watching":
        return this.#sendWatchedChanges(subscriber, copy);
      case "counting":
        return this.#areTooMany(STATE_USERS_RETURN_SHARE)
          ? this.#sendNextCount(subscriber)
          : this.#sendSnapshot(subscriber, "*");
    }
  }

  /** Sends a control message. Before the first snapshot, diff or count it is queued. */
  sendControl(subscriber: V2Subscriber, text: string): void {
    const { connection, state } = subscriber;
    if (state.kind === "opening") {
      if (state.queuedControl.length < CLIENT_MESSAGES_MAX) {
        state.queuedControl.push(text);
      }
    } else if (connection.bufferedBytes < SEND_BUFFER_BYTES_MAX) {
      this.#send(subscriber, text);
    }
  }

  /** Sends a keepalive, if nothing was sent for `silenceMs` and nothing is due. */
  keepAlive(subscriber: V2Subscriber, silenceMs: number): void {
    const { clock, roster: { ring } } = this.#deps;
    if (clock.now() - subscriber.lastSentAt < silenceMs) return;
    // A keepalive states that the client's copy is right as of the keepalive's `seq`.
    if (subscriber.isBehind(ring.head)) return;
    this.sendControl(subscriber, this.#messages.keepalive());
  }

  /** Sends a snapshot of these users, or their number if they are too many. */
  #sendSnapshot(subscriber: V2Subscriber, scope: Scope): Visited {
    const { subscriptions, roster, stateUsersMax } = this.#deps;
    if (scope !== "*") {
      subscriptions.clearPending(subscriber);
      const watching = { kind: "watching", scope, changed: new Map() } as const;
      const text = this.#messages.watchedState(scope);
      return this.#establish(subscriber, watching, text);
    }
    if (this.#areTooMany(1)) {
      const message =
        `more than ${stateUsersMax} users are online: until there are fewer, you receive their number; watch the users whose status you need`;
      this.#send(subscriber, encodeError("too_many_online", message));
      return this.#sendCount(subscriber);
    }
    const following = { kind: "following", cursor: roster.ring.head } as const;
    return this.#establish(subscriber, following, this.#messages.state());
  }

  #sendChanges(subscriber: V2Subscriber, following: Following): Visited {
    const { head, seq } = this.#messages;
    // The ring may have overwritten some of the changes after the cursor.
    const isInRing = following.cursor >= this.#deps.roster.ring.tail;
    if (!isInRing || this.#areTooMany(1)) {
      return this.#sendSnapshot(subscriber, "*");
    }
    // The client resumed after this pass began. The next pass visits it again.
    const { cursor, since = -1 } = following;
    if (cursor > head || since > seq) return "idle";
    const diff = this.#messages.diff(cursor);
    following.cursor = head;
    return this.#sendDiff(subscriber, following, diff);
  }

  #sendWatchedChanges(subscriber: V2Subscriber, watching: Watching): Visited {
    const diff = this.#messages.watchedDiff(watching.changed);
    watching.changed.clear();
    this.#deps.subscriptions.clearPending(subscriber);
    return this.#sendDiff(subscriber, watching, diff);
  }

  #sendDiff(
    subscriber: V2Subscriber,
    copy: Following | Watching,
    { text, isEmpty }: Diff,
  ): Visited {
    // A client that resumes waits for an answer, also for an empty one.
    if (isEmpty && subscriber.state.kind !== "opening") return "idle";
    return this.#establish(subscriber, copy, text);
  }

  /** @param share Of the limit: 1, or less for a client that receives counts already. */
  #areTooMany(share: number): boolean {
    const { roster, stateUsersMax } = this.#deps;
    return roster.size > stateUsersMax * share;
  }

  #sendNextCount(subscriber: V2Subscriber): Visited {
    const silentMs = this.#deps.clock.now() - subscriber.lastSentAt;
    return silentMs < COUNT_INTERVAL_MS
      ? "retry later"
      : this.#sendCount(subscriber);
  }

  #sendCount(subscriber: V2Subscriber): Visited {
    const cursor = this.#deps.roster.ring.head;
    const text = this.#messages.count();
    return this.#establish(subscriber, { kind: "counting", cursor }, text);
  }

  /** Sends the message that gives the client this copy, then the control messages that waited. */
  #establish(
    subscriber: V2Subscriber,
    copy: Following | Watching | Counting,
    text: string,
  ): Visited {
    const { state, connection } = subscriber;
    // The first snapshot of a connection is free: the rate of new connections bounds it.
    if (state.kind === "needs snapshot" && state.isAsked) {
      // Not more, or the next answer would come later than a client waits for a sign of life.
      const bytes = Math.min(text.length, WATCH_BURST_BYTES);
      this.#budgets.owe(connection.userId, bytes);
    }
    const queuedControl = subscriber.establish(copy);
    this.#send(subscriber, text);
    for (const text of queuedControl) this.#send(subscriber, text);
    return "idle";
  }

  #send(subscriber: V2Subscriber, text: string): void {
    const { sender, clock } = this.#deps;
    const { connection } = subscriber;
    // A send that failed has disconnected it.
    if (connection.state !== "live") return;
    if (sender.send(connection, text) === "failed") return;
    subscriber.lastSentAt = clock.now();
  }
}
