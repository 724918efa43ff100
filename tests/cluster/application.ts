/**
 * An application that does to a tenth of its users what applications do to their tables, while they
 * come and go. None of it may make anybody online or offline.
 *
 * @module
 */
import pg from "pg";
import { pause } from "../support/until.ts";

/** Of so many users one is touched. */
const TOUCHED = 10;

type Statements = (userId: number, random: () => number) => readonly string[];

/** What is done to one user, each in one transaction. A text "sleep n" keeps it open for n ms. */
const ACTS: Record<string, Statements> = {
  "writes a status": (id, random) => [
    `update users set status = '${
      random() < 0.5 ? "online" : "offline"
    }' where id = ${id}`,
  ],
  "saves a whole row that it read before": (id) => [
    `create temporary table kept on commit drop as table users`,
    "sleep 300",
    `update users u set username = k.username, status = k.status from kept k where k.id = u.id and u.id = ${id}`,
  ],
  "locks a row": (
    id,
  ) => [`select from users where id = ${id} for update`, "sleep 1500"],
  "locks the table":
    () => ["lock table users in access exclusive mode", "sleep 400"],
  "deletes a user and creates it again": (id) => [
    `delete from users where id = ${id}`,
    "sleep 100",
    `insert into users (id, username) values (${id}, 'user${id}')`,
  ],
  "renames a user": (id, random) => [
    `update users set username = 'name${
      Math.floor(random() * 100)
    }' where id = ${id}`,
  ],
  "fills the table again": () => [
    "create temporary table kept on commit drop as table users",
    "truncate users",
    "insert into users table kept",
  ],
  "rewrites the table": () => [
    "alter table users alter column username type varchar(100)",
    "alter table users alter column username type text",
  ],
  "refuses the status of a user for a while": (id) => [
    `create or replace function refuse() returns trigger language plpgsql as
       $$ begin raise exception 'not now'; end $$`,
    `create or replace trigger refuse before update of status on users
       for each row when (old.id % ${TOUCHED} = ${
      id % TOUCHED
    }) execute function refuse()`,
  ],
  "refuses nothing any more": () => ["drop trigger if exists refuse on users"],
};

/** Acts until the signal. Returns how often it did what. A database that is away is waited for. */
export async function actAsApplication(
  databaseUrl: string,
  users: number,
  random: () => number,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const work = async () => {
    while (!signal.aborted) {
      const names = Object.keys(ACTS);
      const name = names[Math.floor(random() * names.length)] ?? "";
      const userId = TOUCHED *
        (1 + Math.floor(random() * Math.floor(users / TOUCHED)));
      try {
        await transact(databaseUrl, ACTS[name]?.(userId, random) ?? []);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      } catch {
        // A deadlock with itself, or the database is away.
      }
      await pause(50 + random() * 200);
    }
  };
  await Promise.all([work(), work()]);
  return counts;
}

/** Ends what would refuse copies. */
export async function endApplication(databaseUrl: string): Promise<void> {
  await transact(
    databaseUrl,
    ACTS["refuses nothing any more"]?.(0, () => 0) ?? [],
  );
}

async function transact(
  databaseUrl: string,
  statements: readonly string[],
): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("begin; set local lock_timeout = '2s'");
    for (const statement of statements) {
      const [, ms] = /^sleep (\d+)$/.exec(statement) ?? [];
      if (ms === undefined) await client.query(statement);
      else await pause(Number(ms));
    }
    await client.query("commit");
  } finally {
    await client.end().catch(() => {});
  }
}
