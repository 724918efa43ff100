// deno-lint-ignore-file require-await -- the store in memory has nothing to wait for
/** The simulation's store in memory keeps the contract, for ids of every kind. */
import { type UserId, userIds } from "../../src/client/protocol/user_id.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { idOf } from "../support/ids.ts";
import { MemoryDatabase } from "../support/memory_database.ts";
import {
  changeMembership,
  groupsChanged,
  MembershipsTable,
} from "../support/memory_groups.ts";
import { MemoryStore } from "../support/memory_store.ts";
import type { Steps, Transaction } from "../support/memory_transaction.ts";
import type { GroupsSubject } from "./grouped.ts";
import { groupsContract } from "./groups_contract.ts";
import { storeContract } from "./store_contract.ts";

function createSubject(
  ids: readonly UserId[],
  compareIds: (a: UserId, b: UserId) => number,
): GroupsSubject {
  const clock = new FakeClock();
  const memberships = new MembershipsTable();
  const database = new MemoryDatabase(ids, clock, { compareIds });
  const { users, nodes, presence, engine } = database;
  const lock = async (lock: (tx: Transaction) => Steps<void>) => {
    const unlock = Promise.withResolvers<void>();
    const transaction = engine.execute(function* (tx) {
      yield* lock(tx);
      yield unlock.promise;
    });
    return async () => {
      unlock.resolve();
      await transaction;
    };
  };
  /** Statements that wait for a lock need time. */
  const store = passingTime(new MemoryStore(database), clock);
  return {
    store,
    expire: async (nodeId, agoMs = 0) => {
      const row = nodes.rows.get(nodeId);
      if (row === undefined) return;
      nodes.rows.set(nodeId, { ...row, expiresAt: engine.now() - agoMs });
    },
    lock: (userId) => lock((tx) => tx.lock(users, userId, "update")),
    lockPresence: (userId) => lock((tx) => tx.lock(presence, userId, "update")),
    lockTable: () => lock((tx) => tx.lockTable(users, "exclusive")),
    setStatus: async (userId, status) => {
      const row = users.rows.get(userId);
      if (row !== undefined) users.rows.set(userId, { ...row, status });
    },
    status: async (userId) => users.rows.get(userId)?.status ?? "",
    deleteUser: async (userId) => void users.rows.delete(userId),
    renameUser: async (userId, username) => {
      const row = users.rows.get(userId);
      if (row !== undefined) users.rows.set(userId, { ...row, username });
    },
    createUser: async (userId) => {
      users.rows.set(userId, { username: "new", status: "offline" });
    },
    claims: async () =>
      [...presence.rows].flatMap(([userId, row]) =>
        row.nodes.map((nodeId) => [userId, nodeId] as const)
      ),
    prune: async (seq) => database.prune(seq),
    close: async () => {},
    setGroups: async (userId, groups, naming) => {
      if (database.memberships === undefined) {
        memberships.rows.set(userId, groups);
      }
      await engine.execute((tx) =>
        changeMembership(database, tx, userId, groups, naming)
      );
    },
    beginGroups: async (userId, groups) => {
      const ended = Promise.withResolvers<void>();
      const transaction = engine.execute(function* (tx) {
        yield* changeMembership(database, tx, userId, groups, "named");
        yield ended.promise;
      });
      return async (end) => {
        if (end === "commit") ended.resolve();
        else ended.reject(new Error("rolled back"));
        await transaction.catch((err) => {
          if (end === "commit") throw err;
        });
      };
    },
    nameUsers: (ids) =>
      // deno-lint-ignore require-yield -- it waits for nothing
      engine.execute(function* (tx) {
        groupsChanged(database, tx, ids);
      }),
    lockGroups: () => lock((tx) => tx.lockTable(memberships, "exclusive")),
    lockFeed: () => lock((tx) => tx.lock(database.counter, "seq", "update")),
    countWaiting: async () => engine.locks.waitingCount,
    switchGroups: async (to) => {
      database.memberships = to === "on" ? memberships : undefined;
      return store;
    },
  };
}

/** The store, with a clock that goes on by itself while a call waits. */
function passingTime(store: MemoryStore, clock: FakeClock): MemoryStore {
  return new Proxy(store, {
    get: (_, name: keyof MemoryStore) => {
      if (!(name in store)) return undefined;
      const call = store[name].bind(store) as (...args: unknown[]) => unknown;
      return async (...args: unknown[]) => {
        const answer = Promise.resolve(call(...args));
        let isDone = false;
        void answer.catch(() => {}).then(() => isDone = true);
        for (let ms = 0; ms < 20_000 && !isDone; ms += 10) {
          await clock.advance(10);
        }
        return await answer;
      };
    },
  });
}

for (const idType of ["integer", "uuid", "text"] as const) {
  const ids = [1, 2, 3, 4, 5].map((n) => idOf(idType, n));
  storeContract(
    `memory, ${idType} ids`,
    async () => createSubject(ids, userIds(idType).compare),
    (n) => idOf(idType, n),
  );
  groupsContract(
    `memory, ${idType} ids`,
    async () => {
      const subject = createSubject(ids, userIds(idType).compare);
      await subject.switchGroups("on");
      return subject;
    },
    (n) => idOf(idType, n),
  );
}
