/**
 * The fan-out brings every connection up to the newest change of the roster.
 *
 * **Cursors over a ring.** The roster appends each change to a ring in memory. A connection has
 * no queue of its own. Its subscriber has a cursor: the position in the ring of the next change
 * to send. A wake starts a pass, which visits subscribers and moves their cursors to the head of
 * the ring. So a connection that is far behind costs no more memory than another, and a slow one
 * delays no other.
 *
 * **Version 1** (`broadcast.ts`) receives one message for each change of another user. The ring
 * holds the text, made once for all connections. A pass starts at least `BROADCAST_INTERVAL_MS` after the
 * last one ended, so that a storm causes fewer writes. A connection that lost changes because the ring
 * overwrote them is closed with 1013: version 1 has no message that could close a gap.
 *
 * **Version 2** (`sync.ts`) receives a snapshot, then diffs. A diff merges all changes between a
 * cursor and the head, and is encoded once for all subscribers with the same cursor. A pass
 * starts at least `intervalMs` after the last one ended, and later after one that took long. So a
 * lone change is sent at once, and a storm costs one diff per interval. A connection that lost
 * changes receives a new snapshot. A client that reconnects with a recent `seq` resumes: it receives
 * a diff, and no snapshot.
 *
 * **Watch sets.** A version 2 client may watch a set of users. An index leads from a user to its
 * watchers (`subscriptions.ts`). They record the change, and the next pass visits them. Changes
 * of other users cost a watcher nothing. While more than `stateUsersMax` users are online, a
 * client without a watch set receives their number instead of a snapshot.
 *
 * **Slow consumers** (`sender.ts`). Version 1 is sent nothing while `SEND_BUFFER_BYTES_MAX` bytes
 * are unsent, and version 2 while any are: a later diff covers more. The connection is visited
 * again every `STALLED_RECHECK_MS`. It is closed with 1013 when its peer reads nothing for
 * `SLOW_CONSUMER_MS`.
 *
 * **Costs.** A change costs one send for each version 1 connection. A pass costs at most one send
 * for each version 2 connection without a watch set, and one for each watcher of a user that
 * changed. Passes yield to other work every `FANOUT_SLICE_MS` (`pump.ts`). Memory: a subscriber
 * takes at most 150 bytes, a watched id about 200, and the ring about 10 MB.
 *
 * **Parts.** `subscriber.ts` is the state of one connection, and decides which changes concern
 * it. `subscriptions.ts` holds all subscribers. `pump.ts` decides when to visit them, and this
 * file has one pump for each version. `broadcast.ts` and `sync.ts` are what a visit does.
 * `sync_messages.ts` encodes the messages of version 2. The fan-out does not know why a user
 * changed, or what is claimed in the store.
 *
 * @module
 */
import type { Metrics } from "../../base/metrics.ts";
import type { Connection } from "../connections/connection.ts";
import type { ConnectionObserver } from "../connections/connections.ts";
import type { Change } from "../roster/ring.ts";
import { Broadcast } from "./broadcast.ts";
import { BROADCAST_INTERVAL_MS } from "./limits.ts";
import { Pump } from "./pump.ts";
import { Sender, type SenderDeps } from "./sender.ts";
import { type Scope, V1Subscriber, V2Subscriber } from "./subscriber.ts";
import { Sync, type SyncDeps } from "./sync.ts";

export interface FanoutDeps extends SenderDeps, Omit<SyncDeps, "sender"> {
  readonly metrics: Metrics;
  /** Least time between two passes of version 2, in milliseconds. */
  readonly intervalMs: number;
}

export class Fanout implements ConnectionObserver {
  readonly #deps: FanoutDeps;
  readonly #sync: Sync;
  readonly #v1Pump: Pump<V1Subscriber>;
  readonly #v2Pump: Pump<V2Subscriber>;
  #epoch = 0;

  constructor(deps: FanoutDeps) {
    const { subscriptions, roster, clock, metrics, intervalMs } = deps;
    const sender = new Sender(deps);
    const broadcast = new Broadcast(roster.ring, sender);
    const sync = new Sync({ ...deps, sender });
    this.#deps = deps;
    this.#sync = sync;
    this.#v1Pump = new Pump({
      ...{ clock, pauseMs: BROADCAST_INTERVAL_MS },
      begin: () => subscriptions.v1Subscribers(),
      visit: (subscriber) => broadcast.visit(subscriber),
      delivered: (ms) => metrics.delivered(ms, 1),
    });
    this.#v2Pump = new Pump({
      ...{ clock, pauseMs: intervalMs },
      begin: () => sync.beginPass(),
      visit: (subscriber) => sync.visit(subscriber),
      delivered: (ms) => metrics.delivered(ms, 2),
    });
  }

  /**
   * Delivers changes to a version 1 connection from now on.
   *
   * @param cursor Position in the ring of the first change that it receives.
   */
  subscribeV1(connection: Connection, cursor: number): void {
    this.#deps.subscriptions.addV1(new V1Subscriber(connection, cursor));
    this.#wakeIfLive(connection);
  }

  /**
   * Delivers changes to a version 2 connection from now on. `"full"`: the limit of watched
   * ids of the node or the user is reached, and nothing is delivered.
   *
   * @param since The `seq` as of which the client has a copy of these users. The first message is
   *   a diff if the ring reaches back to it, and a snapshot otherwise.
   */
  subscribeV2(
    connection: Connection,
    { since, watch = "*" }: {
      readonly since?: number | undefined;
      readonly watch?: Scope | undefined;
    } = {},
  ): "subscribed" | "full" {
    const { subscriptions, roster } = this.#deps;
    const subscriber = new V2Subscriber(connection, watch);
    const cursor = since === undefined
      ? undefined
      : roster.positionAfter(since);
    if (since !== undefined && cursor !== undefined) {
      subscriber.resume(roster.ring, cursor, since);
    }
    if (subscriptions.addV2(subscriber) === "full") return "full";
    this.#wakeIfLive(connection);
    return "subscribed";
  }

  /**
   * Gives a version 2 connection another scope. A snapshot answers, after a message that repeats
   * `ref`. `"full"`: the limit of watched ids of the node or the user is reached, and nothing
   * changed. `"closed"`: the connection is not subscribed any more.
   */
  watch(
    connection: Connection,
    scope: Scope,
    ref?: number,
  ): "watching" | "full" | "closed" {
    const { subscriptions } = this.#deps;
    const subscriber = subscriptions.v2SubscriberOf(connection);
    if (subscriber === undefined) return "closed";
    if (subscriptions.watch(subscriber, scope, ref) === "full") return "full";
    this.wake();
    return "watching";
  }

  /** Ends all delivery to a connection. Safe to repeat. */
  ended(connection: Connection): void {
    this.#deps.subscriptions.remove(connection);
  }

  /**
   * Delivers changes that the roster made.
   *
   * @param since When the oldest event that caused them happened, in milliseconds by the clock.
   */
  publish(
    changes: readonly Change[],
    since: number = this.#deps.clock.now(),
  ): void {
    const { subscriptions, roster: { epoch } } = this.#deps;
    subscriptions.recordChanges(changes);
    this.#v1Pump.wake(subscriptions.v1Connections > 0 ? since : undefined);
    this.#v2Pump.wake(subscriptions.pending > 0 ? since : undefined);
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    subscriptions.requireSnapshots();
  }

  /** Starts a pass of each version. Call it when connections became live. */
  wake(): void {
    this.#v1Pump.wake();
    this.#v2Pump.wake();
  }

  /**
   * Sends a version 2 connection a control message, such as an error. The message waits for the
   * first snapshot, and is dropped if the buffer is full because the peer does not read.
   */
  sendControl(connection: Connection, text: string): void {
    const subscriber = this.#deps.subscriptions.v2SubscriberOf(connection);
    if (subscriber !== undefined) this.#sync.sendControl(subscriber, text);
  }

  /** Sends a version 2 connection a keepalive, if nothing was sent for `silenceMs` and nothing is due. */
  keepAlive(connection: Connection, silenceMs: number): void {
    const subscriber = this.#deps.subscriptions.v2SubscriberOf(connection);
    if (subscriber !== undefined) this.#sync.keepAlive(subscriber, silenceMs);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#v1Pump.stop(), this.#v2Pump.stop()]);
  }

  /** A connection that is not live yet is visited in the pass that follows when it is. */
  #wakeIfLive({ state }: Connection): void {
    if (state === "live") this.wake();
  }
}
