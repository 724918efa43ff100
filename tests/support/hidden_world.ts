/**
 * A world with two kinds of users: those whom an attacker sees, and hidden ones, with whom it
 * shares no group. It is run twice, with the life of the hidden users and without, for an attacker
 * who does the same in both.
 *
 * The witness shares a group with both kinds, so it knows when a change of a hidden user has
 * reached every node.
 *
 * @module
 */
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { connectWith, type TestClient, tokenFor } from "./client.ts";
import { query } from "./database.ts";
import { startServer, TEST_SECRET, type TestServer } from "./server.ts";
import { until } from "./until.ts";

/** Where the servers have groups from. */
export type Source = "GROUPS_TABLE" | "JWT_GROUPS_CLAIM";

export const ATTACKER = 1;
/** Shares a group with the attacker. */
export const FRIEND = 2;
export const HIDDEN = 3;
/** Shares one group with the attacker and the friend, and another with the hidden users. */
export const WITNESS = 4;
/** In the hidden users' group, and never online. */
export const ASLEEP = 5;
/** No user has this id. */
export const ABSENT = 4_000_000;
/** Hidden users, all in one group. */
export const CROWD: readonly UserId[] = Array.from(
  { length: 12 },
  (_, n) => 20 + n,
);
/** Users in a group of their own that has more than `STATE_USERS_MAX`. */
export const MANY: readonly UserId[] = Array.from(
  { length: 8 },
  (_, n) => 50 + n,
);
export const STATE_USERS_MAX = 6;

export const ADMIN_TOKEN = "an-admin-token-that-every-test-knows-0123";

const ENV = {
  ...{ JWT_SECRET: TEST_SECRET, ADMIN_TOKEN, TRUSTED_PROXIES: "127.0.0.1" },
  ...{ MAX_STATE_USERS: String(STATE_USERS_MAX), MAX_WATCHED_USERS: "20" },
  ...{ MAX_GROUPS_PER_USER: "4", MAX_FAILED_TOKENS_PER_MINUTE: "10000" },
  ...{ MAX_CONNECTIONS_PER_USER: "20", FANOUT_INTERVAL_MS: "5" },
  // A sweep, which finds a new name or a deleted user, comes soon.
  ...{ HEARTBEAT_MS: "300", LEASE_MS: "60000", DRAIN_MS: "0" },
};

export class HiddenWorld implements AsyncDisposable {
  readonly source: Source;
  readonly databaseUrl: string;
  readonly nodes: readonly TestServer[];
  #witnesses: readonly TestClient[] = [];
  readonly #groups = new Map<UserId, readonly string[]>();
  #issuedAt = 1;

  private constructor(
    source: Source,
    databaseUrl: string,
    nodes: readonly TestServer[],
  ) {
    this.source = source;
    this.databaseUrl = databaseUrl;
    this.nodes = nodes;
  }

  /** @param databaseUrl Of a database with the schema and at least 60 users. */
  static async start(
    source: Source,
    databaseUrl: string,
  ): Promise<HiddenWorld> {
    await query(
      databaseUrl,
      "create table memberships (user_id integer, group_id text)",
    );
    const groups = source === "GROUPS_TABLE" ? "memberships" : "app.teams";
    const env = {
      ...{ ...ENV, DATABASE_URL: databaseUrl, [source]: groups },
      ...source === "GROUPS_TABLE" ? {} : { AUTO_PROVISION: "true" },
    };
    const nodes = await Promise.all([
      startServer({ env }),
      startServer({ env }),
    ]);
    const world = new HiddenWorld(source, databaseUrl, nodes);
    await world.setGroups(FRIEND, ["seen"]);
    await world.setGroups(ATTACKER, ["seen", "hidden"]);
    await world.setGroups(WITNESS, ["seen", "hidden", "moved"]);
    for (const id of [HIDDEN, ASLEEP, ...CROWD]) {
      await world.setGroups(id, ["hidden"]);
    }
    for (const id of MANY) await world.setGroups(id, ["many"]);
    world.#witnesses = await Promise.all(
      nodes.map((_, node) => world.open(WITNESS, node)),
    );
    await world.witnessLists(`"id":${WITNESS},`);
    return world;
  }

  urlOf(node: number): string {
    return this.nodes[node % this.nodes.length]?.url ?? "";
  }

  /** A user's groups, for the reads and the tokens to come. */
  async setGroups(userId: UserId, groups: readonly string[]): Promise<void> {
    this.#groups.set(userId, groups);
    this.#issuedAt += 1;
    if (this.source !== "GROUPS_TABLE") return;
    await query(
      this.databaseUrl,
      `with old as (delete from memberships where user_id = $1)
       insert into memberships select $1, unnest($2::text[])`,
      [userId, groups],
    );
  }

  async tokenOf(
    userId: UserId,
    claims: Record<string, unknown> = {},
  ): Promise<string> {
    const teams = this.#groups.get(userId) ?? [];
    const iat = this.#issuedAt;
    return await tokenFor(userId, 3_600, { ...claims, iat, app: { teams } });
  }

  /** A connection of a user, of version 1. */
  async open(
    userId: UserId,
    node = 0,
    claims: Record<string, unknown> = {},
  ): Promise<TestClient> {
    const url = `${this.urlOf(node).replace(/^http/, "ws")}ws`;
    const token = await this.tokenOf(userId, claims);
    const protocols = ["rollcall.v1", `bearer.${token}`];
    return await connectWith(new WebSocket(url, protocols));
  }

  /** Does something to a hidden user, and waits until the witness has received it on each node. */
  async witnessed(
    type: "user_online" | "user_offline",
    ids: readonly UserId[],
    act: () => unknown,
  ): Promise<void> {
    const seen = this.#witnesses.map(({ messages }) => messages.length);
    await act();
    await until(
      `the witness receives ${type} of ${ids}`,
      () =>
        this.#witnesses.every(({ messages }, node) => {
          const later = messages.slice(seen[node]);
          return ids.every((id) =>
            later.some((one) => one.type === type && one.userId === id)
          );
        }),
    );
  }

  /** Waits until the list of the witness on each node has this text. */
  async witnessLists(text: string): Promise<void> {
    const headers = { authorization: `Bearer ${await this.tokenOf(WITNESS)}` };
    for (const { url } of this.nodes) {
      await until(`the witness lists ${text}`, async () => {
        const response = await fetch(`${url}users/online`, { headers });
        return (await response.text()).includes(text);
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#witnesses.map((witness) => witness.close()));
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()));
  }
}
