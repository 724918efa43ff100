// deno-lint-ignore-file require-await -- the store in memory has nothing to wait for
/** Postgres and the simulation's store in memory keep the same contract. */
import pg from "pg";
import type { Status } from "../../src/protocol/messages.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import {
  postgresForThisFile,
  query,
  silentLog,
  statusOf,
} from "../support/database.ts";
import { MemoryDatabase } from "../support/memory_database.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { storeContract, type Subject } from "./store_contract.ts";

const postgres = postgresForThisFile();

storeContract("Postgres", async (): Promise<Subject> => {
  const url = await postgres.database(5);
  const store = new PostgresStore(url, silentLog);
  return {
    store,
    expire: async (nodeId, agoMs = 0) => {
      const sql =
        "update rollcall_internal.nodes set expires_at = clock_timestamp() - $2 * interval '1 millisecond' where id = $1";
      await query(url, sql, [nodeId, agoMs]);
    },
    lock: async (userId) => {
      const application = new pg.Client({ connectionString: url });
      await application.connect();
      await application.query("begin");
      await application.query("select from users where id = $1 for update", [
        userId,
      ]);
      return () => application.end();
    },
    setStatus: async (userId, status) => {
      await query(url, "update users set status = $2 where id = $1", [
        userId,
        status,
      ]);
    },
    status: (userId) => statusOf(url, userId),
    deleteUser: async (userId) => {
      await query(url, "delete from users where id = $1", [userId]);
    },
    renameUser: async (userId, username) => {
      await query(url, "update users set username = $2 where id = $1", [
        userId,
        username,
      ]);
    },
    createUser: async (userId) => {
      await query(url, "insert into users (id, username) values ($1, 'new')", [
        userId,
      ]);
    },
    claims: async () => {
      const sql =
        "select user_id || '@' || node_id as claim from rollcall_internal.claims order by 1";
      return (await query(url, sql)).map(({ claim }) => claim);
    },
    prune: async (seq) => {
      await query(url, "delete from rollcall_internal.feed where seq <= $1", [
        seq,
      ]);
    },
    close: () => store.close(),
  };
});

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
