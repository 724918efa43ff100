/**
 * The core: every part that decides who hears what, tied together.
 *
 * It knows a store, a clock and a hub by what they do, so that a simulation runs the same core
 * as a server.
 *
 * @module
 */
import { Subscriptions } from "./fanout/subscriptions.ts";
import type { Clock } from "../base/clock.ts";
import { Fanout } from "./fanout/fanout.ts";
import { Feed } from "./feed/feed.ts";
import { Connections } from "./connections/connections.ts";
import type { Hub } from "./connections/hub.ts";
import { Lease } from "./presence/lease.ts";
import { RING_TRANSITIONS_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import { Presence } from "./presence/presence.ts";
import { Eviction } from "./eviction/eviction.ts";
import { Roster } from "./roster/roster.ts";
import type { NodeId, Store } from "./store/store.ts";

export interface CoreDeps {
  readonly hub: Hub;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  readonly offlineGraceMs: number;
  readonly fanout: {
    readonly intervalMs: number;
    readonly stateUsersMax: number;
  };
}

export interface Core {
  readonly connections: Connections;
  readonly roster: Roster;
  readonly subscriptions: Subscriptions;
  readonly feed: Feed;
  readonly lease: Lease;
  readonly presence: Presence;
  readonly fanout: Fanout;
  readonly eviction: Eviction;
}

export function createCore(
  deps: CoreDeps,
  random?: () => number,
  newId?: () => NodeId,
  ringTransitionsMax = RING_TRANSITIONS_MAX,
): Core {
  const connections = new Connections(deps.hub, deps.metrics);
  const roster = new Roster(ringTransitionsMax);
  const subscriptions = new Subscriptions();
  const feed: Feed = new Feed({
    ...{ ...deps, roster },
    onAdvance: (changes, since) => {
      presence.onFeedChanges(changes);
      fanout.publish(changes, since);
    },
    onRevoked: () => eviction.onRevoked(),
    recheckClaims: () => presence.recheck(),
  }, random);
  const lease = new Lease(
    { ...deps, feed, onRenewed: () => presence.invalidateClaims() },
    random,
    newId,
  );
  const presence: Presence = new Presence({
    ...{ ...deps, connections, roster, feed, lease },
    onLive: () => fanout.wake(),
  }, random);
  const fanout = new Fanout({
    ...{ ...deps, ...deps.fanout },
    ...{ connections, subscriptions, roster },
  });
  connections.observe(fanout, presence);
  const eviction = new Eviction({ ...deps, connections, fanout });
  return {
    ...{ connections, roster, subscriptions, feed, lease, presence, fanout },
    eviction,
  };
}
