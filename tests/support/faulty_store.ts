/**
 * A faulty store loses, repeats and delays calls and notifications, as its `Faults` say.
 *
 * @module
 */
import type { Clock } from "../../src/base/clock.ts";
import type { Store, Subscription } from "../../src/core/store/store.ts";
import type { MemoryDatabase } from "./memory_database.ts";

/** What is wrong between a node and its database. Tests change it during a run. */
export interface Faults {
  /** Every call fails, and no notification arrives. */
  down: boolean;
  /** Share of calls that fail before they reach the database. */
  lostRequests: number;
  /** Share of calls that fail after the database has answered. */
  lostAnswers: number;
  /** Share of calls that reach the database twice. */
  doubledRequests: number;
  /** Share of notifications that never arrive. */
  lostNotifications: number;
  /** Longest delay of a request, and of an answer. */
  delayMs: number;
}

export const NO_FAULTS: Readonly<Faults> = {
  down: false,
  lostRequests: 0,
  lostAnswers: 0,
  doubledRequests: 0,
  lostNotifications: 0,
  delayMs: 0,
};

/**
 * Puts faults between a node and its store. A call that is under way when another database takes
 * over fails.
 *
 * @returns The store, and a function that ends all its notification connections.
 */
export function withFaults(
  inner: Store,
  database: MemoryDatabase,
  faults: Faults,
  clock: Clock,
  random: () => number,
): { store: Store; breakLinks: () => void } {
  const links = new Set<() => void>();
  const delay = async () => {
    if (faults.delayMs > 0) await clock.sleep(random() * faults.delayMs);
  };
  const call = async <T>(perform: () => Promise<T>): Promise<T> => {
    const { epoch } = database;
    const isDown = () => faults.down || database.epoch !== epoch;
    await delay();
    if (isDown() || random() < faults.lostRequests) {
      throw new Error("injected: request lost");
    }
    if (random() < faults.doubledRequests) await perform().catch(() => {});
    const answer = await perform();
    await delay();
    if (isDown() || random() < faults.lostAnswers) {
      throw new Error("injected: answer lost");
    }
    return answer;
  };
  const subscribe = async (
    onHead: (seq: number) => void,
    onRenamed: () => void,
    onRevoked: () => void,
  ): Promise<Subscription> => {
    const arrives = () => !faults.down && random() >= faults.lostNotifications;
    const subscription = await inner.subscribe(
      (seq) => arrives() && onHead(seq),
      () => arrives() && onRenamed(),
      () => arrives() && onRevoked(),
    );
    links.add(() => void subscription.close());
    return { ...subscription, head: () => call(() => subscription.head()) };
  };
  return {
    store: {
      join: (...args) => call(() => inner.join(...args)),
      heartbeat: (...args) => call(() => inner.heartbeat(...args)),
      sweep: () => call(() => inner.sweep()),
      apply: (...args) => call(() => inner.apply(...args)),
      leave: (...args) => call(() => inner.leave(...args)),
      readFeed: (...args) => call(() => inner.readFeed(...args)),
      claimedBy: (...args) => call(() => inner.claimedBy(...args)),
      skipTo: (...args) => call(() => inner.skipTo(...args)),
      revoke: (...args) => call(() => inner.revoke(...args)),
      readRevocations: (...args) => call(() => inner.readRevocations(...args)),
      snapshot: () => call(() => inner.snapshot()),
      subscribe: (...args) => call(() => subscribe(...args)),
      close: () => inner.close(),
    },
    breakLinks: () => {
      for (const breakLink of links) breakLink();
      links.clear();
    },
  };
}
