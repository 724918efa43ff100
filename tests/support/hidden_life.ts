/**
 * What the hidden users do, one act after another: all that a user can do, and all that an
 * application can do to it.
 *
 * Each act ends when the witness has received it on every node.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { TestClient } from "./client.ts";
import { query } from "./database.ts";
import {
  ADMIN_TOKEN,
  CROWD,
  HIDDEN,
  type HiddenWorld,
} from "./hidden_world.ts";

/** `open`: the connections of the hidden users. */
type Act = (world: HiddenWorld, open: Set<TestClient>) => Promise<void>;

async function come(
  world: HiddenWorld,
  open: Set<TestClient>,
  ids: readonly UserId[] = [HIDDEN],
) {
  await world.witnessed("user_online", ids, async () => {
    for (const [at, id] of ids.entries()) open.add(await world.open(id, at));
  });
}

async function go(
  world: HiddenWorld,
  open: Set<TestClient>,
  ids: readonly UserId[] = [HIDDEN],
) {
  await world.witnessed("user_offline", ids, async () => {
    await Promise.all([...open].map((client) => client.close()));
    open.clear();
  });
}

/** Puts the hidden user, who is online, into another group. */
async function move(
  world: HiddenWorld,
  open: Set<TestClient>,
  groups: readonly string[],
) {
  await world.setGroups(HIDDEN, groups);
  await query(
    world.databaseUrl,
    `select rollcall.groups_changed(array[${HIDDEN}])`,
  );
  // With groups in tokens, a newer token moves the user.
  if (world.source === "JWT_GROUPS_CLAIM") {
    open.add(await world.open(HIDDEN, 1));
  }
}

/** By what the hidden user does, in this order. */
export const LIFE: Readonly<Record<string, Act>> = {
  "comes online": (world, open) => come(world, open),
  "opens more connections on both nodes": async (world, open) => {
    for (let at = 0; at < 6; at++) open.add(await world.open(HIDDEN, at));
    await world.witnessLists(`"id":${HIDDEN},`);
  },
  "moves to a group that the witness alone sees": async (world, open) => {
    await move(world, open, ["moved"]);
    await world.witnessLists(`"id":${HIDDEN},`);
  },
  "moves out of all groups and back": async (world, open) => {
    await world.witnessed(
      "user_offline",
      [HIDDEN],
      () => move(world, open, []),
    );
    await world.witnessed(
      "user_online",
      [HIDDEN],
      () => move(world, open, ["hidden"]),
    );
  },
  "gets another name": async (world) => {
    await query(
      world.databaseUrl,
      `update users set username = 'other' where id = ${HIDDEN}`,
    );
    await world.witnessLists('"other"');
  },
  "is one of a crowd": (world, open) => come(world, open, CROWD),
  "leaves with the crowd": (world, open) => go(world, open, [HIDDEN, ...CROWD]),
  "comes and goes with the crowd, three times": async (world, open) => {
    for (let time = 0; time < 3; time++) {
      await come(world, open, CROWD);
      await go(world, open, CROWD);
    }
  },
  "sends bad tokens and reads lists": async (world, open) => {
    await come(world, open);
    const asks = Array.from({ length: 40 }, async (_, n) => {
      const token = n % 2 === 0 ? "bad" : await world.tokenOf(HIDDEN);
      const headers = {
        authorization: `Bearer ${token}`,
        "x-forwarded-for": "198.51.100.7",
      };
      const response = await fetch(`${world.urlOf(n)}users/online`, {
        headers,
      });
      await response.body?.cancel();
    });
    await Promise.all(asks);
  },
  "is disconnected by an administrator": async (world, open) => {
    await world.witnessed("user_offline", [HIDDEN], async () => {
      const response = await fetch(`${world.urlOf(0)}admin/disconnect`, {
        method: "POST",
        headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
        body: JSON.stringify({ userId: HIDDEN }),
      });
      equal(response.status, 202, await response.text());
    });
    open.clear();
  },
  "is refused because of too many groups": async (world) => {
    await world.setGroups(HIDDEN, ["1", "2", "3", "4", "5"]);
    await using client = await world.open(HIDDEN);
    equal((await client.closed).code, 1008);
    await world.setGroups(HIDDEN, ["hidden"]);
  },
  "is deleted while online": async (world, open) => {
    await come(world, open);
    await world.witnessed(
      "user_offline",
      [HIDDEN],
      () => query(world.databaseUrl, `delete from users where id = ${HIDDEN}`),
    );
    open.clear();
  },
  "is made again, by its token if the servers do that": async (world, open) => {
    const name = "made again";
    if (world.source === "GROUPS_TABLE") {
      await query(
        world.databaseUrl,
        `insert into users (id, username) values (${HIDDEN}, '${name}')`,
      );
    }
    await world.witnessed(
      "user_online",
      [HIDDEN],
      async () =>
        open.add(await world.open(HIDDEN, 1, { preferred_username: name })),
    );
    await world.witnessLists(name);
  },
  "leaves for good": (world, open) => go(world, open),
};
