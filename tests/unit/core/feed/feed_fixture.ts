/**
 * A feed over a database in memory that other nodes write to, with faults that a test chooses.
 *
 * @module
 */
import { Feed } from "../../../../src/core/feed/feed.ts";
import { Roster } from "../../../../src/core/roster/roster.ts";
import type {
  Snapshot,
  Subscription,
} from "../../../../src/core/store/store.ts";
import type { UserId } from "../../../../src/client/protocol/user_id.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { rememberingLog } from "../../../support/fakes.ts";
import { MemoryDatabase } from "../../../support/memory_database.ts";
import { MemoryStore } from "../../../support/memory_store.ts";

export const HEARTBEAT_MS = 3_000;

/** What is wrong between the feed and its database. */
export interface Faults {
  /** Notifications are lost. */
  losesNotifications: boolean;
  /** The notification connection does not answer its heartbeat. */
  isSilent: boolean;
  /** The next subscription waits for this promise. */
  connecting: Promise<void> | undefined;
  /** Reads of the feed get their rows at once, and resolve when this does. */
  reading: PromiseWithResolvers<void> | undefined;
  /** Snapshots are taken at once, and answered when this resolves. */
  answering: PromiseWithResolvers<void> | undefined;
  /** Snapshots are refused. */
  refusesSnapshots: boolean;
  /** Snapshots have this content. */
  oldSnapshot: Snapshot | undefined;
  /** The claims cannot be rechecked. */
  refusesRecheck: boolean;
}

export interface FeedFixture {
  readonly clock: FakeClock;
  readonly database: MemoryDatabase;
  readonly feed: Feed;
  readonly roster: Roster;
  readonly log: ReturnType<typeof rememberingLog>;
  readonly faults: Faults;
  readonly counts: {
    reads: number;
    snapshots: number;
    subscriptions: number;
    skips: number;
    rechecks: number;
  };
  /** Ids of the online users, by the roster. */
  readonly online: () => UserId[];
  /** Another node claims and releases users. */
  readonly write: (
    arriving: number[],
    leaving?: number[],
  ) => ReturnType<MemoryStore["apply"]>;
  /** Another node sweeps, and finds that an online user was renamed. */
  readonly rename: (userId: number, username: string) => void;
  /** Another node found that transitions were lost. */
  readonly skipTo: (seq: number) => Promise<void>;
  /** Ends the notification connection. The feed reconnects after a pause. */
  readonly cutLink: () => Promise<void>;
  /** Ends the notification connection. The feed reconnects when the returned function is called. */
  readonly severLink: () => Promise<() => void>;
}

/** A started feed. Its database has the users 1 to 5, all offline. */
export async function startFeed(): Promise<FeedFixture> {
  const clock = new FakeClock();
  const database = new MemoryDatabase([1, 2, 3, 4, 5], clock);
  const store = new MemoryStore(database);
  const roster = new Roster();
  const log = rememberingLog();
  const counts = {
    ...{ reads: 0, snapshots: 0, subscriptions: 0, skips: 0, rechecks: 0 },
  };
  const faults: Faults = {
    losesNotifications: false,
    isSilent: false,
    connecting: undefined,
    reading: undefined,
    answering: undefined,
    refusesSnapshots: false,
    oldSnapshot: undefined,
    refusesRecheck: false,
  };
  let subscription: Subscription | undefined;
  await store.join("other", 1_000_000);
  const feed = new Feed({
    ...{ roster, clock, log, heartbeatMs: HEARTBEAT_MS },
    store: {
      readFeed: async (after, limit) => {
        counts.reads += 1;
        const read = await store.readFeed(after, limit);
        await faults.reading?.promise;
        return read;
      },
      snapshot: async () => {
        counts.snapshots += 1;
        if (faults.refusesSnapshots) throw new Error("no snapshot");
        const snapshot = faults.oldSnapshot ?? await store.snapshot();
        await faults.answering?.promise;
        return snapshot;
      },
      skipTo: (seq) => {
        counts.skips += 1;
        return store.skipTo(seq);
      },
      subscribe: async (notifications) => {
        counts.subscriptions += 1;
        await faults.connecting;
        const onHead = (seq: number) => {
          if (!faults.losesNotifications) notifications.onHead(seq);
        };
        const inner = await store.subscribe({ ...notifications, onHead });
        subscription = {
          ...inner,
          head: () =>
            faults.isSilent ? new Promise<number>(() => {}) : inner.head(),
        };
        return subscription;
      },
    },
    onChange: () => {},
    onAdvance: () => {},
    onRevoked: () => {},
    onGroupsChanged: () => {},
    recheckClaims: () => {
      if (faults.refusesRecheck) return Promise.reject(new Error("away"));
      counts.rechecks += 1;
      return Promise.resolve();
    },
  }, () => 0.5);
  await feed.start();
  const cutLink = async () => await subscription?.close();
  return {
    ...{ clock, database, feed, roster, log, counts, faults, cutLink },
    online: () => roster.everybody.users().map(({ id }) => id),
    write: (arriving, leaving = []) => store.apply("other", arriving, leaving),
    rename: (userId, username) => {
      const row = database.presence.rows.get(userId);
      if (row === undefined) return;
      database.presence.rows.set(userId, { ...row, username });
      for (const listener of database.listeners) listener("renamed");
    },
    skipTo: (seq) => store.skipTo(seq),
    severLink: async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      faults.connecting = promise;
      await cutLink();
      return resolve;
    },
  };
}

/** Another database takes over that lacks the last transition: user 3 came online. */
export function failOverWithoutLast({ database, faults }: FeedFixture): void {
  faults.losesNotifications = true;
  database.feed.rows.delete(database.seq);
  database.seq -= 1;
  database.presence.rows.delete(3);
}
