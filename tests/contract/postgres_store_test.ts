/** The store over Postgres keeps the contract, for ids of every kind. */
import pg from "pg";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import { userIds } from "../../src/client/protocol/user_id.ts";
import {
  postgresForThisFile,
  query,
  silentLog,
  statusOf,
} from "../support/database.ts";
import { idOf } from "../support/ids.ts";
import { storeContract, type Subject } from "./store_contract.ts";

const postgres = postgresForThisFile();

/** Runs statements in a transaction of the application, which the returned function ends. */
async function openTransaction(
  url: string,
  sql: string,
  values?: unknown[],
): Promise<() => Promise<void>> {
  const application = new pg.Client({ connectionString: url });
  await application.connect();
  await application.query("begin");
  await application.query(sql, values);
  return () => application.end();
}

for (const idType of ["integer", "uuid", "text"] as const) {
  const create = async (): Promise<Subject> => {
    const url = await postgres.database(5, idType);
    const store = new PostgresStore(url, silentLog, userIds(idType));
    const run = async (sql: string, ...values: unknown[]) =>
      void await query(url, sql, values);
    return {
      store,
      expire: (nodeId, agoMs = 0) =>
        run(
          "update rollcall_internal.nodes set expires_at = clock_timestamp() - $2 * interval '1 millisecond' where id = $1",
          ...[nodeId, agoMs],
        ),
      lock: (userId) =>
        openTransaction(url, "select from users where id = $1 for update", [
          userId,
        ]),
      lockPresence: (userId) =>
        openTransaction(
          url,
          "select from rollcall_internal.presence where user_id = $1 for update",
          [userId],
        ),
      lockTable: () =>
        openTransaction(url, "lock table users in access exclusive mode"),
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
    };
  };
  storeContract(`Postgres, ${idType} ids`, create, (n) => idOf(idType, n));
}
