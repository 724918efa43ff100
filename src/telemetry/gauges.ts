/**
 * The metrics that are read from the parts of a node when Prometheus asks for them.
 *
 * @module
 */
import type { Admission, AdmissionLimits } from "../access/admission.ts";
import type { Hub } from "../core/connections/hub.ts";
import { GROUPS_MAX, WATCHED_IDS_MAX } from "../core/fanout/limits.ts";
import type { Subscriptions } from "../core/fanout/subscriptions.ts";
import type { Feed } from "../core/feed/feed.ts";
import type { Lease } from "../core/presence/lease.ts";
import type { Presence } from "../core/presence/presence.ts";
import type { Roster } from "../core/roster/roster.ts";
import type { DatabaseWatch } from "./database_watch.ts";
import type { LoopMonitor } from "./loop_monitor.ts";
import type { Checked } from "./readiness.ts";

/** The parts that are read. */
export interface Observed extends Checked {
  readonly hub: Pick<Hub, "size">;
  readonly subscriptions: Subscriptions;
  readonly roster: Roster;
  readonly feed: Pick<Feed, "lag" | "notificationsUp">;
  readonly lease: Checked["lease"] & Pick<Lease, "remainingMs">;
  readonly presence: Pick<Presence, "unwritten">;
  readonly admission:
    & Checked["admission"]
    & Pick<Admission, "sockets" | "slotsInUse">;
  readonly loop: Pick<LoopMonitor, "lagMs">;
  readonly database: Pick<DatabaseWatch, "copiesDue" | "snapshots">;
  /** What is configured, for those values that have a bound. */
  readonly limits: {
    readonly admission: AdmissionLimits;
    readonly fanout: { readonly stateUsersMax: number };
    readonly leaseMs: number;
  };
}

export interface GaugeOf<Parts> {
  readonly name: string;
  readonly help: string;
  /** `undefined`: the value is not known now. */
  readonly read: (parts: Parts) => number | undefined;
}

/** Reading all of them walks each connection once, for the lag of the slowest. */
export const GAUGES: readonly GaugeOf<Observed>[] = [
  {
    name: "rollcall_v1_connections",
    help: "Connections of protocol version 1",
    read: ({ subscriptions }) => subscriptions.v1Connections,
  },
  {
    name: "rollcall_v2_connections",
    help: "Connections of protocol version 2, with those that watch",
    read: ({ subscriptions }) => subscriptions.v2Connections,
  },
  {
    name: "rollcall_watchers",
    help: "Connections of protocol version 2 that watch a list of users",
    read: ({ subscriptions }) => subscriptions.watchers,
  },
  {
    name: "rollcall_watched_ids",
    help: "User ids in the lists of all connections that watch",
    read: ({ subscriptions }) => subscriptions.watchedIds,
  },
  {
    name: "rollcall_audiences",
    help: "Distinct sets of groups among the users of the connections",
    read: ({ subscriptions }) => subscriptions.audiences,
  },
  {
    name: "rollcall_groups",
    help:
      "Groups that the node knows: with users online, or with changes that it keeps. 1: there are no groups",
    read: ({ roster }) => roster.groups.size,
  },
  {
    name: "rollcall_groups_max",
    help: "Limit of rollcall_groups, above which no newcomers are taken",
    read: () => GROUPS_MAX,
  },
  {
    name: "rollcall_largest_group_users",
    help: "Users who are online in the largest group",
    read: ({ roster }) => largestGroup(roster),
  },
  {
    name: "rollcall_watched_ids_max",
    help: "Limit of rollcall_watched_ids",
    read: () => WATCHED_IDS_MAX,
  },
  {
    name: "rollcall_sockets",
    help: "Sockets, with those that are being closed",
    read: ({ admission }) => admission.sockets,
  },
  {
    name: "rollcall_slots_in_use",
    help: "Sockets that count against MAX_CONNECTIONS",
    read: ({ admission }) => admission.slotsInUse,
  },
  {
    name: "rollcall_connections_max",
    help: "Limit of rollcall_slots_in_use: MAX_CONNECTIONS",
    read: ({ limits }) => limits.admission.connectionsMax,
  },
  {
    name: "rollcall_new_connections_per_second_max",
    help: "Limit of new sockets in one second: MAX_NEW_CONNECTIONS_PER_SECOND",
    read: ({ limits }) => limits.admission.newConnectionsPerSecondMax,
  },
  {
    name: "rollcall_sockets_lost",
    help: "Sockets that never opened, each probably with a lost descriptor",
    read: ({ admission }) => admission.socketsLost,
  },
  {
    name: "rollcall_users_local",
    help: "Users with a connection to this node",
    read: ({ hub }) => hub.size,
  },
  {
    name: "rollcall_users_unwritten",
    help: "Users whose coming or going is not in the database yet",
    read: ({ presence }) => presence.unwritten,
  },
  {
    name: "rollcall_users_online",
    help: "Users online in the cluster, as far as this node knows",
    read: ({ roster }) => roster.size,
  },
  {
    name: "rollcall_state_users_max",
    help:
      "Users online above which version 2 gets their number: MAX_STATE_USERS",
    read: ({ limits }) => limits.fanout.stateUsersMax,
  },
  {
    name: "rollcall_seq",
    help: "Number of the newest transition that this node has applied",
    read: ({ roster }) => roster.seq,
  },
  {
    name: "rollcall_feed_lag_transitions",
    help: "Transitions that are in the feed and that this node has not read",
    read: ({ feed }) => feed.lag,
  },
  {
    name: "rollcall_fanout_lag_transitions",
    help: "Transitions that the slowest connection has not received",
    read: ({ subscriptions }) => subscriptions.lag(),
  },
  {
    name: "rollcall_copies_due",
    help: "Copies of the status that the sweep has to write, up to 10,000",
    read: ({ database }) => database.copiesDue,
  },
  {
    name: "rollcall_database_snapshot_seconds",
    help:
      "How long the oldest snapshot in the database is held, by a transaction or a replication slot",
    read: ({ database: { snapshots } }) =>
      snapshots && (snapshots[0]?.seconds ?? 0),
  },
  {
    name: "rollcall_notifications_up",
    help: "1 while notifications of the database arrive, else 0",
    read: ({ feed }) => feed.notificationsUp ? 1 : 0,
  },
  {
    name: "rollcall_lease_remaining_seconds",
    help: "Time until the lease of this node may expire",
    read: ({ lease }) => lease.remainingMs / 1_000,
  },
  {
    name: "rollcall_lease_seconds",
    help: "Duration of a lease after a renewal: LEASE_MS",
    read: ({ limits }) => limits.leaseMs / 1_000,
  },
  {
    name: "rollcall_event_loop_lag_seconds",
    help: "Longest delay of the event loop in the last ten seconds",
    read: ({ loop }) => loop.lagMs / 1_000,
  },
];

function largestGroup({ groups }: Roster): number {
  let users = 0;
  for (const { members } of groups.values()) {
    users = Math.max(users, members.size);
  }
  return users;
}
