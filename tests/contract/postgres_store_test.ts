/** The store over Postgres keeps the contract, for ids of every kind. */
import pg from "pg";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import type { GroupsConfig } from "../../src/postgres/groups_table.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { DEFAULT_USERS } from "../../src/postgres/users_table.ts";
import { userIds, type UserIdType } from "../../src/client/protocol/user_id.ts";
import {
  postgresForThisFile,
  query,
  silentLog,
  statusOf,
} from "../support/database.ts";
import { idOf } from "../support/ids.ts";
import type { GroupsSubject, Naming } from "./grouped.ts";
import { groupsContract } from "./groups_contract.ts";
import { storeContract } from "./store_contract.ts";

const postgres = postgresForThisFile();

const MEMBERSHIPS: GroupsConfig = {
  source: { kind: "table", name: "memberships" },
  perUserMax: 100,
};

/** Runs statements in a transaction of the application, which the returned function ends. */
async function openTransaction(url: string, sql: string, values?: unknown[]) {
  const application = new pg.Client({ connectionString: url });
  await application.connect();
  await application.query("begin");
  await application.query(sql, values);
  return {
    end: async (end: "commit" | "rollback") => {
      await application.query(end);
      await application.end();
    },
  };
}

/** A database with the schema, five users, and a table with their groups. */
async function open(idType: UserIdType) {
  const url = await postgres.database(5, idType);
  const ids = userIds(idType);
  await query(
    url,
    `create table memberships (user_id ${idType} not null, group_id text not null);
     create index on memberships (user_id)`,
  );
  return { url, store: new PostgresStore(url, silentLog, ids) };
}

async function create(idType: UserIdType): Promise<GroupsSubject> {
  const { url, store } = await open(idType);
  const run = async (sql: string, ...values: unknown[]) =>
    void await query(url, sql, values);
  /** In one statement, so in one transaction. */
  const setGroups = (naming: Naming) =>
    `with gone as (delete from memberships where user_id = $1),
          come as (insert into memberships select $1, unnest($2::text[]))
     select ${
      naming === "named"
        ? `rollcall.groups_changed(array[$1::${idType}])`
        : "null"
    }`;
  const lock = async (sql: string, ...values: unknown[]) => {
    const transaction = await openTransaction(url, sql, values);
    return () => transaction.end("rollback");
  };
  return {
    store,
    expire: (nodeId, agoMs = 0) =>
      run(
        "update rollcall_internal.nodes set expires_at = clock_timestamp() - $2 * interval '1 millisecond' where id = $1",
        ...[nodeId, agoMs],
      ),
    lock: (userId) =>
      lock("select from users where id = $1 for update", userId),
    lockPresence: (userId) =>
      lock(
        "select from rollcall_internal.presence where user_id = $1 for update",
        userId,
      ),
    lockTable: () => lock("lock table users in access exclusive mode"),
    setStatus: (userId, status) =>
      run("update users set status = $2 where id = $1", userId, status),
    status: (userId) => statusOf(url, userId),
    deleteUser: (userId) => run("delete from users where id = $1", userId),
    renameUser: (userId, username) =>
      run("update users set username = $2 where id = $1", userId, username),
    createUser: (userId) =>
      run("insert into users (id, username) values ($1, 'new')", userId),
    claims: async () => {
      const rows = await query(
        url,
        "select user_id, node from rollcall_internal.presence, unnest(nodes) node",
      );
      return rows.map(({ user_id, node }) => [user_id, node] as const);
    },
    prune: async (seq) => {
      await run("delete from rollcall_internal.feed where seq <= $1", seq);
      await run("update rollcall_internal.counter set seq = $1", seq);
    },
    close: () => store.close(),
    setGroups: (userId, groups, naming) =>
      run(setGroups(naming), userId, groups),
    beginGroups: async (userId, groups) =>
      (await openTransaction(url, setGroups("named"), [userId, groups])).end,
    nameUsers: (ids) =>
      run(`select rollcall.groups_changed($1::${idType}[])`, ids),
    lockGroups: () => lock("lock table memberships in access exclusive mode"),
    lockFeed: () => lock("select from rollcall_internal.counter for update"),
    countWaiting: async () => {
      const [row] = await query(
        url,
        "select count(*)::int from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return row.count;
    },
    switchGroups: async (to) => {
      const groups = to === "on" ? MEMBERSHIPS : undefined;
      await migrateDatabase(url, { ...DEFAULT_USERS, idType, groups });
      return store;
    },
  };
}

for (const idType of ["integer", "uuid", "text"] as const) {
  const name = `Postgres, ${idType} ids`;
  const nth = (n: number) => idOf(idType, n);
  storeContract(name, () => create(idType), nth);
  // Ids of type uuid have their own groups in tests/postgres/groups_test.ts.
  if (idType === "uuid") continue;
  groupsContract(name, async () => {
    const subject = await create(idType);
    await subject.switchGroups("on");
    return subject;
  }, nth);
}
