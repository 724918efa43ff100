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
import { encodeError, encodeMessage } from "../../client/protocol/messages.ts";
import type { UserId } from "../../client/protocol/user_id.ts";
import type { Roster } from "../roster/roster.ts";
import type { Audience } from "./audience.ts";
import {
  COUNT_INTERVAL_MS,
  SEND_BUFFER_BYTES_MAX,
  STATE_USERS_RETURN_SHARE,
  WATCH_BURST_BYTES,
  WATCH_BYTES_PER_SECOND_MAX,
  WATCH_USERS_MAX,
} from "./limits.ts";
import type { Visited } from "../../base/pump.ts";
import type { Sender } from "./sender.ts";
import type {
  Counting,
  Following,
  Scope,
  V2Subscriber,
  Watching,
} from "./subscriber.ts";
import { type Diff, SyncMessages } from "./sync_messages.ts";

export interface SyncDeps {
  readonly roster: Roster;
  readonly sender: Sender;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "merged">;
  /** Users online above which version 2 receives their number and not a snapshot. */
  readonly stateUsersMax: number;
}

export class Sync {
  readonly #deps: SyncDeps;
  /** The head of the ring, and the roster's `seq`, when the current pass began. */
  #head = 0;
  #seq = 0;
  /**
   * Of the audience that was visited last. Those that are pending are visited audience by audience, and
   * the texts of all of them together could be large.
   */
  #messages: SyncMessages | undefined;
  /** Bytes of snapshots that a user may still get by `watch`. */
  readonly #budgets: TokenBuckets<UserId>;

  constructor(deps: SyncDeps) {
    this.#deps = deps;
    this.#budgets = new TokenBuckets(
      ...[WATCH_BURST_BYTES, WATCH_BYTES_PER_SECOND_MAX] as const,
      ...[WATCH_USERS_MAX, () => deps.clock.now()] as const,
    );
  }

  /** Begins a pass. Its diffs end where the ring ends now. */
  beginPass(): void {
    const { ring, seq } = this.#deps.roster;
    this.#head = ring.head;
    this.#seq = seq;
    this.#messages?.beginPass(ring.head);
  }

  /** Sends what brings the client up to date. */
  visit(subscriber: V2Subscriber): Visited {
    const { connection, audience, copy } = subscriber;
    if (connection.state !== "live" || audience === undefined) return "idle";
    if (!subscriber.isBehind(audience.view.end)) return "idle";
    // A later message will contain what this one would, so nothing is queued behind unsent bytes.
    if (connection.bufferedBytes > 0) {
      return this.#deps.sender.defer(subscriber);
    }
    subscriber.stall = undefined;
    switch (copy.kind) {
      case "needs snapshot":
        if (!this.#budgets.has(connection.userId)) return "retry later";
        if (copy.ref !== undefined) {
          this.#send(
            subscriber,
            encodeMessage({ type: "watching", ref: copy.ref }),
          );
        }
        return this.#sendSnapshot(subscriber, audience, copy.scope);
      case "following":
        return this.#sendChanges(subscriber, audience, copy);
      case "watching":
        return this.#sendWatchedChanges(subscriber, audience, copy);
      case "counting":
        return this.#areTooMany(audience, STATE_USERS_RETURN_SHARE)
          ? this.#sendNextCount(subscriber, audience)
          : this.#sendSnapshot(subscriber, audience, "*");
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
    const { clock, roster: { seq } } = this.#deps;
    if (clock.now() - subscriber.lastSentAt < silenceMs) return;
    // A keepalive states that the client's copy is right as of the keepalive's `seq`.
    const end = subscriber.audience?.view.end ?? Infinity;
    if (!subscriber.isBehind(end)) {
      this.sendControl(subscriber, encodeMessage({ type: "keepalive", seq }));
    }
  }

  /** Sends a snapshot of these users, or their number if they are too many. */
  #sendSnapshot(
    subscriber: V2Subscriber,
    audience: Audience,
    scope: Scope,
  ): Visited {
    const { stateUsersMax, roster: { ring } } = this.#deps;
    const messages = this.#messagesOf(audience);
    if (scope !== "*") {
      const watching = { kind: "watching", scope, changed: new Map() } as const;
      const text = messages.watchedState(scope);
      return this.#establish(subscriber, watching, text);
    }
    if (this.#areTooMany(audience, 1)) {
      const message =
        `more than ${stateUsersMax} users are online: until there are fewer, you receive their number; watch the users whose status you need`;
      this.#send(subscriber, encodeError("too_many_online", message));
      return this.#sendCount(subscriber, audience);
    }
    const following = { kind: "following", cursor: ring.head } as const;
    return this.#establish(subscriber, following, messages.state());
  }

  #sendChanges(
    subscriber: V2Subscriber,
    audience: Audience,
    following: Following,
  ): Visited {
    const head = this.#head;
    const { cursor, since = -1 } = following;
    // The ring may have overwritten some of the changes after the cursor.
    const isInRing = audience.view.reachesBackTo(cursor);
    if (!isInRing || this.#areTooMany(audience, 1)) {
      return this.#sendSnapshot(subscriber, audience, "*");
    }
    // The client resumed after this pass began. The next pass visits it again.
    if (cursor > head || since > this.#seq) return "continue";
    const diff = this.#messagesOf(audience).diff(cursor, this.#seq);
    following.cursor = head;
    return this.#sendDiff(subscriber, following, diff);
  }

  #sendWatchedChanges(
    subscriber: V2Subscriber,
    audience: Audience,
    watching: Watching,
  ): Visited {
    const diff = this.#messagesOf(audience).watchedDiff(watching.changed);
    watching.changed.clear();
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
  #areTooMany({ view }: Audience, share: number): boolean {
    return view.isLargerThan(this.#deps.stateUsersMax * share);
  }

  #sendNextCount(subscriber: V2Subscriber, audience: Audience): Visited {
    const silentMs = this.#deps.clock.now() - subscriber.lastSentAt;
    return silentMs < COUNT_INTERVAL_MS
      ? "retry later"
      : this.#sendCount(subscriber, audience);
  }

  #sendCount(subscriber: V2Subscriber, audience: Audience): Visited {
    const cursor = this.#deps.roster.ring.head;
    const text = this.#messagesOf(audience).count();
    return this.#establish(subscriber, { kind: "counting", cursor }, text);
  }

  #messagesOf(audience: Audience): SyncMessages {
    if (this.#messages?.view === audience.view) return this.#messages;
    const { roster, metrics } = this.#deps;
    return this.#messages = new SyncMessages(
      ...[roster, audience.view, this.#head, metrics] as const,
    );
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
