/**
 * A member of one group tries to learn of the members of another: what it can observe is the same
 * with and without them.
 *
 * What is bounded and not equal: `seq` grows, so it tells that something happened to somebody. So
 * does the time of an answer, because all users share the work of a node: a diff may wait for the
 * pass before it (`FANOUT_INTERVAL_MS`), a write for the batch before it. Neither depends on who it
 * was. An answer about a user is made from the attacker's own view, so it reads nothing that
 * an answer about nobody does not read.
 */
import { deepEqual, equal } from "node:assert/strict";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { Adversary } from "../support/adversary.ts";
import type { TestClient } from "../support/client.ts";
import { postgresForThisFile, query } from "../support/database.ts";
import type { Observed } from "../support/doors.ts";
import { onlineIds } from "../support/endpoints.ts";
import {
  ADMIN_TOKEN,
  CROWD,
  HIDDEN,
  HiddenWorld,
  MANY,
  type Source,
} from "../support/hidden_world.ts";
import { untilEqual } from "../support/until.ts";

const postgres = postgresForThisFile();

/** What the hidden users do, one after another. */
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

const LIFE: Readonly<Record<string, Act>> = {
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
};

/** All that the adversary observes, after each act or where it would have been. */
async function attack(source: Source, isAlive: boolean): Promise<Observed> {
  await using world = await HiddenWorld.start(
    source,
    await postgres.database(60),
  );
  await using cleanup = new AsyncDisposableStack();
  const open = new Set<TestClient>();
  cleanup.defer(async () => {
    await Promise.all([...open].map((client) => client.close()));
  });
  for (const [at, id] of MANY.entries()) cleanup.use(await world.open(id, at));
  const headers = {
    authorization: `Bearer ${await world.tokenOf(MANY[0] ?? 0)}`,
  };
  for (const node of world.nodes) {
    await untilEqual(`all are online`, () => onlineIds(node, headers), MANY);
  }
  const adversary = cleanup.use(await Adversary.start(world));
  const observed: Observed = { "at first": await adversary.tryDoors() };
  for (const [name, act] of Object.entries(LIFE)) {
    if (isAlive) await act(world, open);
    observed[name] = await adversary.tryDoors();
  }
  observed["sockets that were open all the time"] = await adversary.end();
  return observed;
}

for (const source of ["GROUPS_TABLE", "JWT_GROUPS_CLAIM"] as const) {
  Deno.test(`[V1] with ${source}, nothing that a client on two nodes can observe differs with and without the life of users whom it does not see`, async () => {
    const [alone, beside] = await Promise.all([
      attack(source, false),
      attack(source, true),
    ]);
    for (const name of Object.keys(alone)) {
      deepEqual(beside[name], alone[name], `after a hidden user ${name}`);
    }
  });
}
