/**
 * A fan-out over fake sockets, and what each of them received.
 *
 * @module
 */
import { noMetrics } from "../../src/base/metrics.ts";
import type { Connection } from "../../src/core/connections/connection.ts";
import { Hub } from "../../src/core/connections/hub.ts";
import { Fanout } from "../../src/core/fanout/fanout.ts";
import { Subscriptions } from "../../src/core/fanout/subscriptions.ts";
import type { Change } from "../../src/core/roster/change.ts";
import { Roster } from "../../src/core/roster/roster.ts";
import type { Snapshot, Transition } from "../../src/core/store/store.ts";
import { FakeClock } from "./fake_clock.ts";
import { type FakeSocket, liveConnection, rememberingLog } from "./fakes.ts";

/** One client's connection, and the server's end of its socket. */
export interface Peer {
  readonly connection: Connection;
  readonly socket: FakeSocket;
}

/** Above this number of online users, version 2 receives counts. */
const STATE_USERS_MAX = 10;

/** What a client sent when it connected, as far as the fan-out needs it. */
type Start = Parameters<Fanout["subscribeV2"]>[1];

export interface FanoutFixture {
  readonly fanout: Fanout;
  readonly subscriptions: Subscriptions;
  readonly roster: Roster;
  readonly hub: Hub;
  readonly clock: FakeClock;
  readonly log: ReturnType<typeof rememberingLog>;
  /** The user comes online, or goes offline if it is online; `count` times. */
  readonly change: (userId: number, count?: number) => void;
  /** The user becomes visible in these groups, or goes offline. */
  readonly put: (userId: number, groups?: readonly string[]) => void;
  /** The roster is replaced. */
  readonly replace: (snapshot: Snapshot) => void;
  readonly connectV1: (userId: number) => Peer;
  readonly connectV2: (userId?: number, start?: Start) => Peer;
}

/** A fan-out without connections. */
export function createFanout(
  ringCapacity = 100_000,
  stateUsersMax = STATE_USERS_MAX,
  hasGroups = false,
  groupsMax?: number,
): FanoutFixture {
  const roster = new Roster(ringCapacity);
  const subscriptions = new Subscriptions(roster);
  const hub = new Hub();
  const clock = new FakeClock();
  const log = rememberingLog();
  const fanout: Fanout = new Fanout({
    ...{ subscriptions, roster, clock, log, metrics: noMetrics },
    ...{ intervalMs: 50, stateUsersMax, hasGroups },
    connections: {
      hub,
      disconnect: (connection, why) => {
        connection.close(why);
        hub.unregister(connection);
        fanout.ended(connection);
      },
    },
  }, groupsMax);
  let seq = 0;
  const change = (userId: number, count = 1) => {
    const username = `user${userId}`;
    for (let n = 0; n < count; n++) {
      const status = roster.nameOf(userId) === undefined ? "online" : "offline";
      const transition = { seq: ++seq, userId, username, status } as const;
      publishChange(fanout, roster.advance(transition));
    }
  };
  const put = (userId: number, groups?: readonly string[]) => {
    const transition: Transition = {
      ...{ seq: ++seq, userId, username: `user${userId}`, groups },
      status: groups === undefined ? "offline" : "online",
    };
    publishChange(fanout, roster.advance(transition));
  };
  const replace = (snapshot: Snapshot) => {
    roster.replace(snapshot, undefined, (change) => fanout.record(change));
    fanout.publish();
  };
  const connectV1 = (userId: number): Peer => {
    const peer = liveConnection(userId, { version: 1 });
    hub.register(peer.connection);
    fanout.subscribeV1(peer.connection, roster.ring.head);
    return peer;
  };
  const connectV2 = (userId = 101, start: Start = {}): Peer => {
    const peer = liveConnection(userId, { version: 2 });
    hub.register(peer.connection);
    fanout.subscribeV2(peer.connection, start);
    return peer;
  };
  return {
    ...{ fanout, subscriptions, roster, hub, clock, log },
    ...{ change, put, replace, connectV1, connectV2 },
  };
}

/** Delivers what a transition changed, as the feed does. */
export function publishChange(
  fanout: Fanout,
  change: Change | undefined,
): void {
  if (change !== undefined) fanout.record(change);
  fanout.publish();
}

/**
 * The version 2 messages that a socket received, in short: `"3 is 1,2"` is a snapshot as of `seq`
 * 3, `"4 +5 -1"` a diff, and `"error overloaded"` or `"presence_count 11"` another message.
 */
export function received({ socket }: Peer): string[] {
  return socket.sent.map((text) => {
    const { type, seq, users, online, offline, code } = JSON.parse(text);
    const ids = (list: { id: number }[]) => list.map(({ id }) => id);
    if (type === "presence_state") return `${seq} is ${ids(users)}`;
    if (type === "presence_diff") return `${seq} +${ids(online)} -${offline}`;
    return `${type} ${code ?? online ?? seq}`;
  });
}
