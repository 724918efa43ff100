/** The demo with teams: who sees whom, and how people are moved. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { sharedServer, startServer } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { until, untilEqual } from "../support/until.ts";

/** Ids of another type than in the demo without teams. No sweep does what a move must do. */
const server = sharedServer(() =>
  startServer({
    env: {
      ...{ DEMO_TEAMS: "true", USER_ID_TYPE: "text" },
      ...{ HEARTBEAT_MS: "250000", LEASE_MS: "600000" },
    },
  })
);

async function tokenOf(username: string): Promise<string> {
  const url = `${server.url}demo/token.txt?user=${username}`;
  return await (await fetch(url)).text();
}

async function connect(username: string, id: string) {
  return await connectSync(server.url, id, { token: await tokenOf(username) });
}

async function move(body: unknown) {
  const response = await fetch(`${server.url}demo/teams`, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

async function crowd(method: string, body: string | null): Promise<void> {
  const init = { method, body };
  await (await fetch(`${server.url}demo/crowd`, init)).body?.cancel();
}

async function teams(): Promise<Record<string, string[]>> {
  const { users } = await (await fetch(`${server.url}demo/users`)).json();
  return Object.fromEntries(
    users.map((user: { username: string; teams: string[] }) =>
      [user.username, user.teams] as const
    ),
  );
}

const AT_START = {
  ...{ ada: ["blue"], bob: ["blue"], chen: ["blue", "orange"] },
  ...{ dora: ["orange"], emre: ["orange"], fatima: [] },
};

Deno.test("[V3] people of one team of the demo see each other, and a move is seen at once", async () => {
  deepEqual(await teams(), AT_START);
  await using ada = await connect("ada", "user-1");
  await using chen = await connect("chen", "user-3");
  await using dora = await connect("dora", "user-4");
  await ada.holds(["user-1", "user-3"]);
  await chen.holds(["user-1", "user-3", "user-4"]);
  await dora.holds(["user-3", "user-4"]);

  const moved = await move({ user: "dora", teams: ["blue"] });
  equal(moved.status, 200);
  deepEqual(moved.body.teams, ["blue", "orange"]);
  await ada.holds(["user-1", "user-3", "user-4"]);
  await dora.holds(["user-1", "user-3", "user-4"]);
  deepEqual((await teams()).dora, ["blue"]);

  await move({ user: "chen", teams: [] });
  await ada.holds(["user-1", "user-4"]);
  await chen.holds(["user-3"]);
  await move({ user: "dora", teams: ["orange"] });
  await move({ user: "chen", teams: ["orange", "blue"] });
  deepEqual(await teams(), AT_START);
});

Deno.test("[V1] with teams the demo's list needs a token, and shows the teams of its user", async () => {
  await using dora = await connect("dora", "user-4");
  await dora.holds(["user-4"]);
  const list = async (username?: string) => {
    const headers: Record<string, string> = username === undefined
      ? {}
      : { authorization: `Bearer ${await tokenOf(username)}` };
    const answer = await fetch(`${server.url}users/online`, { headers });
    const { online_users } = await answer.json();
    return online_users?.map(({ username }: { username: string }) => username);
  };
  equal(await list(), undefined);
  deepEqual(await list("chen"), ["dora"]);
  deepEqual(await list("ada"), []);
});

Deno.test("simulated users are in both teams by turns", async () => {
  await using ada = await connect("ada", "user-1");
  await using chen = await connect("chen", "user-3");
  const simulated = ({ model }: typeof ada) =>
    model.ids.filter((id) => Number(String(id).slice(5)) > 1_000).length;
  await crowd("POST", '{"add":10}');
  // One in five may be away.
  await until("chen sees most of them", () => simulated(chen) >= 8);
  await until("ada sees half of them", () => simulated(ada) >= 3);
  ok(simulated(ada) <= 5, `ada sees ${simulated(ada)} of 10`);
  await crowd("DELETE", null);
  await untilEqual("all are offline", () => [ada, chen].map(simulated), [0, 0]);
});

Deno.test("a bad move is refused and moves nobody", async () => {
  const wrong = ["blue", ["green"], ["blue", "blue"], [7], [["blue"]], null];
  const bodies = ["", "{", "null", "[]", { user: "ada" }, " ".repeat(2_000)];
  for (
    const body of [...bodies, ...wrong.map((teams) => ({ user: "ada", teams }))]
  ) {
    const answer = await move(body);
    equal(answer.status, 400, JSON.stringify(body));
    equal(answer.body.error.code, "bad_teams");
  }
  for (const user of ["eve", undefined, 1]) {
    const answer = await move({ user, teams: ["blue"] });
    equal(answer.status, 404);
    equal(answer.body.error.code, "unknown_demo_user");
  }
  deepEqual(await teams(), AT_START);
});

Deno.test("the start log says that the demo has teams", () => {
  const groups = server.log.filter((line) => line.includes('"groups: '));
  equal(groups.length, 1);
  match(groups[0] ?? "", /groups: public\.demo_teams\(user_id text/);
});
