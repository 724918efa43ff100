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
import type { UserId } from "../../protocol/user_id.ts";
import type { Roster } from "../roster/roster.ts";
import { DeliveryTimer } from "./delivery_timer.ts";
import {
  COUNT_INTERVAL_MS,
  SEND_BUFFER_BYTES_MAX,
  STATE_USERS_RETURN_SHARE,
} from "./limits.ts";
import { Pump, type Visited } from "./pump.ts";
import type { Sender } from "./sender.ts";
import type {
  CopyState,
  Counting,
  Following,
  V2Subscriber,
  Watching,
} from "./subscriber.ts";
import type { Subscriptions } from "./subscriptions.ts";
import { encodeError, encodeWatching, SyncMessages } from "./sync_messages.ts";

export interface SyncDeps {
  readonly subscriptions: Subscriptions;
  readonly roster: Roster;
  readonly sender: Sender;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "delivered" | "merged">;
  /** Least time between two diffs for a connection, in milliseconds. */
  readonly intervalMs: number;
  /** Users online above which clients that do not watch receive counts. */
  readonly stateUsersMax: number;
}

export class Sync {
  readonly #deps: SyncDeps;
  readonly #messages: SyncMessages;
  readonly #pump: Pump<V2Subscriber>;
  readonly #timer: DeliveryTimer;

  constructor(deps: SyncDeps) {
    const { subscriptions, roster, clock, metrics, intervalMs } = deps;
    this.#deps = deps;
    this.#messages = new SyncMessages(
      roster,
      (changes) => metrics.merged(changes),
    );
    this.#timer = new DeliveryTimer(clock, (ms) => metrics.delivered(ms, 2));
    this.#pump = new Pump({
      clock,
      pauseMs: intervalMs,
      begin: () => {
        this.#messages.beginPass();
        return subscriptions.pendingSubscribers();
      },
      visit: (subscriber) => this.#visit(subscriber),
      end: () => this.#timer.stop(),
    });
  }

  /** The ring has changes, of which the oldest happened at `since`. */
  publish(since: number): void {
    if (this.#deps.subscriptions.hasPending) this.#timer.start(since);
    this.wake();
  }

  wake(): void {
    this.#pump.wake();
  }

  async stop(): Promise<void> {
    await this.#pump.stop();
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

  #visit(subscriber: V2Subscriber): Visited {
    const { connection, state } = subscriber;
    if (connection.state !== "live") return "idle";
    if (!subscriber.isBehind(this.#messages.head)) return "idle";
    // A later message will contain what this one would, so nothing is queued behind unsent bytes.
    if (connection.bufferedBytes > 0) {
      return this.#deps.sender.defer(subscriber);
    }
    subscriber.stall = undefined;
    return state.kind === "opening"
      ? this.#deliver(subscriber, state.copy, "first")
      : this.#deliver(subscriber, state, "later");
  }

  /** @param turn `"first"`: a client that resumes waits for an answer, also for an empty diff. */
  #deliver(
    subscriber: V2Subscriber,
    copy: CopyState,
    turn: "first" | "later",
  ): Visited {
    switch (copy.kind) {
      case "watching":
        return this.#sendWatchedDiff(subscriber, copy, turn);
      case "needs snapshot":
        if (copy.ref !== undefined) {
          this.#send(subscriber, encodeWatching(copy.ref));
        }
        if (copy.scope !== "*") {
          return this.#sendWatchedState(subscriber, copy.scope);
        }
        return this.#areTooMany(1)
          ? this.#sendFirstCount(subscriber)
          : this.#sendState(subscriber);
      case "following":
        if (this.#areTooMany(1)) return this.#sendFirstCount(subscriber);
        return this.#sendDiff(subscriber, copy, turn);
      case "counting":
        return this.#areTooMany(STATE_USERS_RETURN_SHARE)
          ? this.#sendNextCount(subscriber)
          : this.#sendState(subscriber);
    }
  }

  /** @param share Of the limit: 1, or less for a client that receives counts already. */
  #areTooMany(share: number): boolean {
    const { roster, stateUsersMax } = this.#deps;
    return roster.size > stateUsersMax * share;
  }

  #sendState(subscriber: V2Subscriber): Visited {
    const cursor = this.#deps.roster.ring.head;
    const text = this.#messages.state();
    return this.#establish(subscriber, { kind: "following", cursor }, text);
  }

  #sendDiff(
    subscriber: V2Subscriber,
    following: Following,
    turn: "first" | "later",
  ): Visited {
    const { head } = this.#messages;
    // The ring has overwritten some of the changes after the cursor.
    if (following.cursor < this.#deps.roster.ring.tail) {
      return this.#sendState(subscriber);
    }
    // The client resumed after this pass began. The next pass visits it again.
    if (following.cursor > head) return "idle";
    const { text, isEmpty } = this.#messages.diff(following.cursor);
    following.cursor = head;
    if (turn === "first") return this.#establish(subscriber, following, text);
    if (!isEmpty) this.#send(subscriber, text);
    return "idle";
  }

  #sendWatchedState(
    subscriber: V2Subscriber,
    ids: ReadonlySet<UserId>,
  ): Visited {
    const watching = { kind: "watching", ids, changed: new Map() } as const;
    this.#deps.subscriptions.clearPending(subscriber);
    const text = this.#messages.watchedState(ids);
    return this.#establish(subscriber, watching, text);
  }

  #sendWatchedDiff(
    subscriber: V2Subscriber,
    watching: Watching,
    turn: "first" | "later",
  ): Visited {
    const { text, isEmpty } = this.#messages.watchedDiff(watching.changed);
    watching.changed.clear();
    this.#deps.subscriptions.clearPending(subscriber);
    if (turn === "first") return this.#establish(subscriber, watching, text);
    if (!isEmpty) this.#send(subscriber, text);
    return "idle";
  }

  #sendFirstCount(subscriber: V2Subscriber): Visited {
    const { stateUsersMax } = this.#deps;
    const message =
      `more than ${stateUsersMax} users are online: until there are fewer, you receive their number; watch the users whose status you need`;
    this.#send(subscriber, encodeError("too_many_online", message));
    return this.#sendCount(subscriber);
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
