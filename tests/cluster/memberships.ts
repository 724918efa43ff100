/**
 * The memberships of a chaos run with groups: an application that moves a fifth of its users from
 * group to group, and with every other change says so.
 *
 * @module
 */
import pg from "pg";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { query } from "../support/database.ts";
import { pause } from "../support/until.ts";

/** One of so many users is moved. */
const MOVED = 5;
/** The groups between which users are moved. Those who stay are in the last two, and in others. */
const MOVED_GROUPS = ["m0", "m1", "s0", "s1"];
const STAYED_GROUPS = 6;

export class Memberships {
  readonly #databaseUrl: string;
  readonly users: number;
  /** Every group that a user was ever in, or may have been: a commit may be lost or not. */
  readonly #ever = new Map<UserId, Set<string>>();
  /** What was done, and how often. */
  readonly counts = new Map<string, number>();

  private constructor(databaseUrl: string, users: number) {
    this.#databaseUrl = databaseUrl;
    this.users = users;
  }

  /** Makes the table, with users from 1 on. */
  static async create(
    databaseUrl: string,
    users: number,
  ): Promise<Memberships> {
    const memberships = new Memberships(databaseUrl, users);
    await query(
      databaseUrl,
      "create table memberships (user_id integer, group_id text)",
    );
    for (let id = 1; id <= users; id++) {
      // Some are in two groups.
      const numbers = id % 7 === 0 ? [id, id + 1] : [id];
      const groups = id % MOVED === 0
        ? MOVED_GROUPS.slice(0, 1)
        : numbers.map((n) => `s${n % STAYED_GROUPS}`);
      memberships.#ever.set(id, new Set(groups));
      await query(
        databaseUrl,
        "insert into memberships select $1, unnest($2::text[])",
        [id, groups],
      );
    }
    return memberships;
  }

  /** Moves users until the signal. A database that is away is waited for. */
  async move(random: () => number, signal: AbortSignal): Promise<void> {
    const work = async () => {
      while (!signal.aborted) {
        const [name, statements] = this.#change(random);
        const isDone = await transact(this.#databaseUrl, statements);
        if (isDone) this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
        await pause(30 + random() * 120);
      }
    };
    await Promise.all([work(), work()]);
  }

  /** The groups of each user now. */
  async read(): Promise<ReadonlyMap<UserId, readonly string[]>> {
    const rows = await query(
      this.#databaseUrl,
      "select user_id, array_agg(group_id) as groups from memberships group by 1",
    );
    return new Map(rows.map(({ user_id, groups }) => [user_id, groups]));
  }

  /** Whether two users may ever have shared a group. */
  mayHaveMet(one: UserId, other: UserId): boolean {
    const groups = this.#ever.get(other) ?? new Set();
    return one === other ||
      [...this.#ever.get(one) ?? []].some((group) => groups.has(group));
  }

  #change(random: () => number): [string, readonly string[]] {
    const dice = random();
    if (dice < 0.04) {
      const lock = "lock table memberships in access exclusive mode";
      return ["locks the memberships", [lock, "select pg_sleep(0.4)"]];
    }
    if (dice < 0.08) {
      return ["fills the memberships again", [
        "create temporary table kept on commit drop as table memberships",
        "truncate memberships",
        "insert into memberships table kept",
      ]];
    }
    const id = MOVED *
      (1 + Math.floor(random() * Math.floor(this.users / MOVED)));
    const groups = MOVED_GROUPS.filter(() => random() < 0.4);
    for (const group of groups) this.#ever.get(id)?.add(group);
    const rows = groups.map((group) => `(${id}, '${group}')`);
    const change = [
      `delete from memberships where user_id = ${id}`,
      ...rows.length === 0 ? [] : [`insert into memberships values ${rows}`],
    ];
    return random() < 0.5
      ? ["moves a user", change]
      : ["moves a user and says so", [
        ...change,
        `select rollcall.groups_changed(array[${id}])`,
      ]];
  }
}

/** Whether the transaction is known to be committed. */
async function transact(
  databaseUrl: string,
  statements: readonly string[],
): Promise<boolean> {
  const client = new pg.Client({ connectionString: databaseUrl });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("begin; set local lock_timeout = '2s'");
    for (const statement of statements) await client.query(statement);
    await client.query("commit");
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}
