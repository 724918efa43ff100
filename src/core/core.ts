/**
 * The core decides which user is reported online or offline, and which connections get a message.
 *
 * A change takes one way through it:
 *
 * ```
 * a socket opens or ends
 *   connections/   is it the user's first or last connection on this node?
 *   presence/      marks the user as dirty; one flusher writes this node's claims in batches
 *   store/         `apply`: one transaction over the claims of all nodes. It alone decides transitions
 *   feed/          transitions in the order of their `seq`: own commits, and reads after notifications
 *   roster/        this node's copy of who is online in which groups, and the ring of its last changes
 *   fanout/        moves the cursor of each connection that may see a change to the head of the
 *                  ring, in slices
 * messages leave
 * ```
 *
 * The lease (in `presence/`) is a condition of it: without a lease the store refuses the node's
 * writes.
 *
 * Some reports go against the direction:
 *
 * - The feed reports each change to the fan-out and to presence. A user who is connected here and
 *   was reported offline is written again.
 * - The feed asks presence to recheck its claims when the database may have lost some.
 * - The lease reports a new node id to presence, which then claims every user again.
 * - Presence wakes the fan-out when connections became live.
 *
 * Imports between these folders point down, in the order `presence`, `fanout` and
 * `feed`, `roster`, `connections` and `store`. So these reports are functions that this file
 * hands over.
 *
 * The core knows its store, clock, hub, log and metrics only as interfaces, and takes random
 * numbers and ids as arguments. It uses no package. So a simulation runs the same core as a
 * server, for many nodes in one process and with its own time.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { RING_TRANSITIONS_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import { Connections } from "./connections/connections.ts";
import type { Hub } from "./connections/hub.ts";
import { Fanout, type FanoutDeps } from "./fanout/fanout.ts";
import { Subscriptions } from "./fanout/subscriptions.ts";
import { Feed } from "./feed/feed.ts";
import { Lease } from "./presence/lease.ts";
import { Presence, type PresenceDeps } from "./presence/presence.ts";
import { Roster } from "./roster/roster.ts";
import type { NodeId, Store } from "./store/store.ts";
import type { UserIds } from "../client/protocol/user_id.ts";

export interface CoreDeps {
  readonly hub: Hub;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Milliseconds for which a lease lasts after a heartbeat. */
  readonly leaseMs: number;
  /** Milliseconds between two heartbeats, of the lease and of the notification connection. */
  readonly heartbeatMs: number;
  /** Milliseconds for which a user who left stays claimed. 0: not at all. */
  readonly offlineGraceMs: number;
  /** The order of user ids in lists. Left out: that of integers. */
  readonly compareIds?: UserIds["compare"];
  /** Left out: there are no groups, and everybody sees everybody. */
  readonly groups?: PresenceDeps["groups"];
  readonly onUnknown?: PresenceDeps["onUnknown"];
  /** There is a new revocation. Left out: nothing enforces them. */
  readonly onRevoked?: () => void;
  readonly fanout: Pick<FanoutDeps, "intervalMs" | "stateUsersMax">;
}

/**
 * The parts. To start: `lease.join`, `feed.start`, in this order. To stop:
 * `presence.stop`, then disconnect all, then the other parts in the opposite order.
 */
export interface Core {
  readonly connections: Connections;
  readonly roster: Roster;
  readonly subscriptions: Subscriptions;
  readonly feed: Feed;
  readonly lease: Lease;
  readonly presence: Presence;
  readonly fanout: Fanout;
}

/**
 * Builds the parts and connects them. Starts nothing.
 *
 * @param random A number from 0 to 1, for the jitter of retries.
 * @param newId Makes the id of each lease. Default: a random UUID.
 * @param ringTransitionsMax Changes that the ring keeps.
 */
export function createCore(
  deps: CoreDeps,
  random?: () => number,
  newId?: () => NodeId,
  ringTransitionsMax = RING_TRANSITIONS_MAX,
): Core {
  const hasGroups = deps.groups !== undefined;
  const connections = new Connections(deps.hub, deps.metrics);
  const roster = new Roster(ringTransitionsMax, deps.compareIds);
  const subscriptions = new Subscriptions(roster);
  const feed: Feed = new Feed({
    ...{ onRevoked: () => {}, ...deps, roster },
    onChange: (change) => {
      // Presence may make a connection live, which then starts behind this change.
      fanout.record(change);
      presence.onChange(change);
    },
    onAdvance: (since) => fanout.publish(since),
    onGroupsChanged: () => lease.regroup(),
    recheckClaims: () => presence.recheck(),
  }, random);
  const lease = new Lease(
    { ...deps, feed, onRenewed: () => presence.invalidateClaims() },
    random,
    newId,
  );
  const presence: Presence = new Presence({
    ...{ ...deps, connections, roster, feed, lease },
    onLive: (connection) => fanout.place(connection),
  }, random);
  const fanout = new Fanout({
    ...{ ...deps, ...deps.fanout, hasGroups },
    ...{ connections, subscriptions, roster },
  });
  connections.observe(fanout, presence);
  return { connections, roster, subscriptions, feed, lease, presence, fanout };
}
