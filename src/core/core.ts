/**
 * The core: every part that decides who hears what, tied together.
 *
 * It knows a store, a clock and a hub by what they do, so that a simulation runs the same core
 * as a server.
 *
 * @module
 */
import { Audience } from "./fanout/audience.ts";
import type { Clock } from "../base/clock.ts";
import { Fanout } from "./fanout/fanout.ts";
import { Feed } from "./feed/feed.ts";
import { Connections } from "./connections/connections.ts";
import type { Hub } from "./connections/hub.ts";
import { Lease } from "./presence/lease.ts";
import { RING_TRANSITIONS_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Measure } from "../base/measure.ts";
import { Presence } from "./presence/presence.ts";
import { Revocation } from "./eviction/revocation.ts";
import { Roster } from "./roster/roster.ts";
import type { NodeId, Store } from "./store/store.ts";
import { Upkeep } from "./eviction/token_expiry.ts";

export interface CoreParts {
  readonly hub: Hub;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly measure: Measure;
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
  readonly audience: Audience;
  readonly feed: Feed;
  readonly lease: Lease;
  readonly presence: Presence;
  readonly fanout: Fanout;
  readonly upkeep: Upkeep;
  readonly revocation: Revocation;
}

export function createCore(
  parts: CoreParts,
  random?: () => number,
  newId?: () => NodeId,
  ringTransitionsMax = RING_TRANSITIONS_MAX,
): Core {
  const connections = new Connections(parts.hub, parts.measure);
  const roster = new Roster(ringTransitionsMax);
  const audience = new Audience();
  const feed: Feed = new Feed({
    ...{ ...parts, roster },
    onAdvance: (changes, since) => {
      presence.noticed(changes);
      fanout.advanced(changes, since);
    },
    onOrdered: () => revocation.check(),
    recheckClaims: () => presence.recheck(),
  }, random);
  const lease = new Lease(
    { ...parts, feed, onRenewed: () => presence.reclaim() },
    random,
    newId,
  );
  const presence: Presence = new Presence({
    ...{ ...parts, connections, roster, feed, lease },
    onLive: () => fanout.wake(),
  }, random);
  const fanout = new Fanout({
    ...{ ...parts, ...parts.fanout },
    ...{ connections, audience, roster },
  });
  connections.observe(fanout, presence);
  const upkeep = new Upkeep({ ...parts, connections, fanout });
  const revocation = new Revocation({ ...parts, connections });
  return {
    ...{ connections, roster, audience, feed, lease, presence, fanout },
    ...{ upkeep, revocation },
  };
}
