// deno-lint-ignore-file require-await -- the store in memory has nothing to wait for
/** The simulation's store in memory keeps the contract. */
import type { Status } from "../../src/protocol/messages.ts";
import { MemoryDatabase } from "../support/memory_database.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { storeContract, type Subject } from "./store_contract.ts";

storeContract("memory", async (): Promise<Subject> => {
  const database = new MemoryDatabase([1, 2, 3, 4, 5], () => 1_000);
  return {
    store: new MemoryStore(database),
    expire: async (nodeId, agoMs = 0) => {
      const node = database.nodes.get(nodeId);
      if (node !== undefined) node.expiresAt = database.now() - agoMs;
    },
    lock: async (userId) => {
      database.locked.add(userId);
      return async () => void database.locked.delete(userId);
    },
    setStatus: async (userId, status) => {
      const user = database.users.get(userId);
      if (user !== undefined) user.status = status as Status;
    },
    status: async (userId) => database.users.get(userId)?.status ?? "",
    deleteUser: async (userId) => database.deleteUser(userId),
    renameUser: async (userId, username) =>
      database.renameUser(userId, username),
    createUser: async (userId) => {
      database.users.set(userId, { username: "new", status: "offline" });
    },
    claims: async () => {
      const all = [...database.claims].flatMap(([userId, nodes]) =>
        [...nodes].map((nodeId) => `${userId}@${nodeId}`)
      );
      return all.sort();
    },
    prune: async (until) => {
      database.feed = database.feed.filter(({ seq }) => seq > until);
    },
    close: async () => {},
  };
});
