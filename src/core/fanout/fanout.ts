/**
 * The fan-out brings every connection up to the newest change that its user may see.
 *
 * **Cursors over a ring.** The roster appends each change to a ring in memory. A connection has
 * no queue of its own. Its subscriber has a cursor: the position in the ring of the next change
 * to send. A wake starts a pass, which visits the pending subscribers and moves their cursors to the
 * head of the ring. So a connection that is far behind costs no more memory than another, and a slow one
 * delays no other.
 *
 * **Audiences** (`audience.ts`). The groups of a connection's user decide which users it sees.
 * Connections with the same groups are one audience; without groups all are. A change makes pending
 * the audiences that may see it. It costs nothing for the others, however many there are. When a
 * user comes into other groups, its connections move to another audience: version 2 receives a new
 * snapshot, and version 1 a message for each user who came into sight or went out of it. A
 * connection whose user is reported offline keeps its audience until the user is online again.
 *
 * **Version 1** (`broadcast.ts`) receives one message for each change of another user. Its
 * text is made once for all connections. A pass starts at least `BROADCAST_INTERVAL_MS` after the
 * last one ended, so that a storm causes fewer writes. A connection that lost changes because the ring
 * overwrote them is closed with 1013: version 1 has no message that could close a gap.
 *
 * **Version 2** (`sync.ts`) receives a snapshot, then diffs. A diff merges all changes between a
 * cursor and the head, and is encoded once for all subscribers of an audience with the same cursor. A pass
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
 * **Costs.** A change costs one send for each version 1 connection that may see it. A pass costs at
 * most one send for each pending version 2 connection without a watch set, and one for each watcher
 * of a user that changed. Passes yield to other work every `SLICE_MS`. Memory: a subscriber takes at
 * most 150 bytes, a watched id about 200, an audience 1 KB and 160 bytes for each of its groups, and
 * the ring about 10 MB, and more where users change their groups.
 *
 * **Parts.** `subscriber.ts` is the state of one connection. `subscriptions.ts` holds all
 * subscribers, and `pending.ts` those to visit. A pump (`base/pump.ts`) decides when to visit them, and this
 * file has one pump for each version. `broadcast.ts` and `sync.ts` are what a visit does.
 * `sync_messages.ts` encodes the messages of version 2. The fan-out does not know why a user
 * changed, or what is claimed in the store.
 *
 * @module
 */
import type { Metrics } from "../../base/metrics.ts";
import { DISCONNECT } from "../../client/protocol/disconnect.ts";
import type { Connection } from "../connections/connection.ts";
import type {
  ConnectionObserver,
  Connections,
} from "../connections/connections.ts";
import type { Change } from "../roster/change.ts";
import { EVERYBODY, type Groups } from "../roster/groups.ts";
import type { Audience } from "./audience.ts";
import { Broadcast } from "./broadcast.ts";
import { BROADCAST_INTERVAL_MS, GROUPS_MAX } from "./limits.ts";
import { Pump } from "../../base/pump.ts";
import { Sender, type SenderDeps } from "./sender.ts";
import {
  type Scope,
  type Subscriber,
  V1Subscriber,
  V2Subscriber,
} from "./subscriber.ts";
import type { Subscriptions } from "./subscriptions.ts";
import { Sync, type SyncDeps } from "./sync.ts";

export interface FanoutDeps extends SenderDeps, Omit<SyncDeps, "sender"> {
  readonly connections: Pick<Connections, "hub" | "disconnect">;
  readonly subscriptions: Subscriptions;
  readonly metrics: Metrics;
  /** Least time between two passes of version 2, in milliseconds. */
  readonly intervalMs: number;
  /** Whether users are in groups. If not, everybody sees everybody. */
  readonly hasGroups: boolean;
}

export class Fanout implements ConnectionObserver {
  readonly #deps: FanoutDeps;
  readonly #broadcast: Broadcast;
  readonly #sync: Sync;
  readonly #v1Pump: Pump<V1Subscriber>;
  readonly #v2Pump: Pump<V2Subscriber>;
  readonly #groupsMax: number;
  #epoch = 0;

  /** @param groupsMax Groups that the roster may have for newcomers to be taken. */
  constructor(deps: FanoutDeps, groupsMax = GROUPS_MAX) {
    const { subscriptions, roster, clock, metrics, intervalMs } = deps;
    const sender = new Sender(deps);
    const broadcast = new Broadcast(roster.ring, sender);
    const sync = new Sync({ ...deps, sender });
    this.#deps = deps;
    this.#groupsMax = groupsMax;
    this.#broadcast = broadcast;
    this.#sync = sync;
    this.#v1Pump = new Pump({
      ...{ clock, pauseMs: BROADCAST_INTERVAL_MS },
      pending: subscriptions.pendingV1,
      begin: () => broadcast.beginPass(),
      visit: (subscriber) => broadcast.visit(subscriber),
      delivered: (ms) => metrics.delivered(ms, 1),
    });
    this.#v2Pump = new Pump({
      ...{ clock, pauseMs: intervalMs },
      pending: subscriptions.pendingV2,
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
    this.place(connection);
  }

  /**
   * Delivers changes to a version 2 connection from now on. `"full"`: the limit of watched
   * ids of the node or the user is reached, and nothing is delivered.
   *
   * @param since The `seq` as of which the client has a copy of these users. The first message is
   *   a diff if the ring reaches back to it and the user saw the same users then, and a snapshot
   *   otherwise.
   */
  subscribeV2(
    connection: Connection,
    { since, watch = "*" }: {
      readonly since?: number | undefined;
      readonly watch?: Scope | undefined;
    } = {},
  ): "subscribed" | "full" {
    const subscriber = new V2Subscriber(connection, watch, since);
    if (this.#deps.subscriptions.addV2(subscriber) === "full") return "full";
    this.place(connection);
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
    this.#markPending(subscriber);
    return "watching";
  }

  /**
   * Brings a connection to the audience of its user's groups, if they are known. Call it when a
   * connection became live.
   */
  place(connection: Connection): void {
    const { subscriptions, roster, hasGroups } = this.#deps;
    const subscriber = subscriptions.of(connection);
    const groups = hasGroups ? roster.groupsOf(connection.userId) : EVERYBODY;
    if (subscriber === undefined || groups === undefined) return;
    // The user came online before there were groups. Another row of the feed has its groups.
    if (hasGroups && groups === EVERYBODY) return;
    // Version 1 receives what changes from its request on, also while it is joining.
    const isEarly = connection.version === 2 && connection.state !== "live";
    if (!isEarly) this.#place(subscriber, groups);
  }

  /** Ends all delivery to a connection. Safe to repeat. */
  ended(connection: Connection): void {
    const { subscriptions } = this.#deps;
    const subscriber = subscriptions.of(connection);
    if (subscriber instanceof V1Subscriber) this.#broadcast.ended(subscriber);
    subscriptions.remove(connection);
  }

  /** Notes a change of the roster, which has it and not the next one. */
  record(change: Change): void {
    const { subscriptions, connections, metrics, hasGroups } = this.#deps;
    metrics.changed(subscriptions.record(change));
    if (!hasGroups) return;
    for (const connection of connections.hub.connectionsOf(change.userId)) {
      this.place(connection);
    }
  }

  /**
   * Delivers the changes that were noted.
   *
   * @param since When the oldest event that caused them happened, in milliseconds by the clock.
   */
  publish(since: number = this.#deps.clock.now()): void {
    const { subscriptions, roster: { epoch } } = this.#deps;
    if (epoch !== this.#epoch) subscriptions.requireSnapshots();
    this.#epoch = epoch;
    const { pendingV1, pendingV2 } = subscriptions;
    this.#v1Pump.wake(pendingV1.isEmpty ? undefined : since);
    this.#v2Pump.wake(pendingV2.isEmpty ? undefined : since);
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

  #place(subscriber: Subscriber, groups: Groups): void {
    const { subscriptions, roster, connections } = this.#deps;
    const { connection, audience } = subscriber;
    if (audience?.view.groups.key === groups.key) {
      return this.#markPending(subscriber);
    }
    if (roster.groups.size > this.#groupsMax && audience === undefined) {
      return connections.disconnect(connection, DISCONNECT.groupLimitReached);
    }
    const to = subscriptions.move(subscriber, groups);
    if (subscriber instanceof V1Subscriber) {
      if (audience !== undefined) {
        this.#broadcast.changeView(subscriber, audience.view, to.view);
      }
    } else if (audience !== undefined) subscriber.requireSnapshot();
    else this.#resume(subscriber, to);
    this.#markPending(subscriber);
  }

  /** Something may be due for one subscriber. */
  #markPending(subscriber: Subscriber): void {
    const { pendingV1, pendingV2 } = this.#deps.subscriptions;
    if (subscriber instanceof V1Subscriber) {
      pendingV1.add(subscriber);
      this.#v1Pump.wake();
    } else {
      pendingV2.add(subscriber);
      this.#v2Pump.wake();
    }
  }

  #resume(subscriber: V2Subscriber, audience: Audience): void {
    const { since, connection: { userId } } = subscriber;
    if (since === undefined) return;
    const cursor = this.#deps.roster.positionAfter(since, userId);
    if (cursor !== undefined) subscriber.resume(audience, cursor, since);
  }
}
