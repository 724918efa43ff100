/** The demo's routes, as the demo page and other pages request them. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { request } from "node:http";
import project from "../../deno.json" with { type: "json" };
import { CROWD_ADD_MAX, CROWD_USERS_MAX } from "../../src/demo/limits.ts";
import { crowdName } from "../../src/demo/crowd_names.ts";
import { connectWith, socketUrl } from "../support/client.ts";
import { ROOT, sharedServer, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const server = sharedServer(() => startServer());

async function askCrowd(
  method: string,
  body?: string,
  headers: Record<string, string> = {},
): Promise<
  { status: number; body: { size: number; error: { code: string } } }
> {
  const response = await fetch(`${server.url}demo/crowd`, {
    ...{ method, headers },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, body: await response.json() };
}

async function onlineIds(): Promise<number[]> {
  const { online_users } = await (await fetch(`${server.url}users/online`))
    .json();
  return online_users.map(({ id }: { id: number }) => id);
}

async function tokenOf(username: string): Promise<string> {
  const url = `${server.url}demo/token?user=${username}`;
  return (await (await fetch(url)).json()).token;
}

Deno.test("simulated users come online, go away for a while, and all leave on DELETE", async () => {
  deepEqual((await askCrowd("POST", '{"add":20}')).body, {
    ...{ size: 20, max: CROWD_USERS_MAX },
  });
  const ids = await until("16 of 20 are online", async () => {
    const ids = await onlineIds();
    return ids.length >= 16 && ids;
  });
  ok(ids.every((id) => id > 1_000 && id <= 1_020));
  const known = new Set(ids);
  await until("one of them goes offline", async () => {
    const now = new Set(await onlineIds());
    return [...known].some((id) => !now.has(id));
  });
  equal((await askCrowd("DELETE")).body.size, 0);
  await until("all are offline", async () => (await onlineIds()).length === 0);
});

Deno.test("no two simulated users have the same name", () => {
  const names = Array.from(
    { length: CROWD_USERS_MAX },
    (_, nth) => crowdName(nth),
  );
  equal(new Set(names).size, names.length);
  match(names[1_234] ?? "", /^[a-z]+-[a-z]+-[0-9]+$/);
});

Deno.test("an invalid body is refused with 400 and adds no users", async () => {
  const bodies = ["", "{", "5", '{"add":0}', '{"add":1.5}', '{"add":"5"}'];
  bodies.push(`{"add":${CROWD_ADD_MAX + 1}}`, " ".repeat(2_000), "null");
  for (const body of bodies) {
    const answer = await askCrowd("POST", body);
    equal(answer.status, 400, body);
    equal(answer.body.error.code, "bad_crowd");
  }
  equal((await askCrowd("GET")).body.size, 0);
});

Deno.test("[L1] the number of simulated users is limited, and more are refused with 409", async () => {
  const add = JSON.stringify({ add: CROWD_ADD_MAX });
  const times = CROWD_USERS_MAX / CROWD_ADD_MAX;
  for (let nth = 1; nth <= times; nth++) {
    equal((await askCrowd("POST", add)).body.size, nth * CROWD_ADD_MAX);
  }
  const answer = await askCrowd("POST", '{"add":1}');
  equal(answer.status, 409);
  equal(answer.body.error.code, "crowd_full");
  equal((await askCrowd("DELETE")).body.size, 0);
  await until("all are offline", async () => (await onlineIds()).length === 0);
});

Deno.test("requests from pages of other origins are refused with 403", async () => {
  const { port } = new URL(server.url);
  for (
    const origin of [
      "https://elsewhere.example",
      "null",
      `http://127.0.0.1:${Number(port) ^ 1}`,
    ]
  ) {
    for (const [method, body] of [["POST", '{"add":1}'], ["DELETE"]] as const) {
      const answer = await askCrowd(method, body, { origin });
      equal(answer.status, 403, `${method} from ${origin}`);
      equal(answer.body.error.code, "origin_not_allowed");
    }
  }
  const own = { origin: server.url.slice(0, -1) };
  equal((await askCrowd("DELETE", undefined, own)).status, 200);
});

Deno.test("a Host other than a loopback name is refused with 403", async () => {
  const { port } = new URL(server.url);
  for (const path of ["token?user=ada", "since", "crowd"]) {
    const answer = Promise.withResolvers<number | undefined>();
    const options = { port, path: `/demo/${path}`, host: "127.0.0.1" };
    request(
      { ...options, headers: { host: "elsewhere.example" } },
      (response) => {
        response.resume();
        answer.resolve(response.statusCode);
      },
    ).end();
    equal(await answer.promise, 403, path);
  }
});

Deno.test("other methods get 405 and the list of allowed methods", async () => {
  const answer = await fetch(`${server.url}demo/crowd`, { method: "PUT" });
  equal(answer.status, 405);
  equal(answer.headers.get("allow"), "GET, HEAD, POST, DELETE");
  const { error } = await answer.json();
  equal(error.message, "PUT is not allowed here, use GET, HEAD, POST, DELETE");
});

Deno.test("the page says the version, and where the documentation is", async () => {
  const page = await (await fetch(server.url)).text();
  const words = page.replaceAll(/\s+/g, " ");
  ok(words.includes(`version ${project.version} in demo mode`));
  const [, path] = /read <code>([^<]+)<\/code>/.exec(words) ?? [];
  ok((await Deno.stat(ROOT + path)).isFile);
});

Deno.test("/demo/token.txt returns a token and nothing else, with which a socket opens", async () => {
  const url = `${server.url}demo/token.txt`;
  const answer = await fetch(`${url}?user=bob`);
  equal(answer.headers.get("cache-control"), "no-store");
  await using _bob = await connectWith(
    new WebSocket(socketUrl(server.url, await answer.text())),
  );
  await until("bob is online", async () => (await onlineIds()).includes(2));
  const unknown = await fetch(`${url}?user=eve`);
  equal(unknown.status, 404);
  equal((await unknown.json()).error.code, "unknown_demo_user");
});

Deno.test("/demo/since returns since when each user is online", async () => {
  const before = Date.now();
  await using _ada = await connectWith(
    new WebSocket(socketUrl(server.url, await tokenOf("ada"))),
  );
  const [ada] = await until("ada is listed", async () => {
    const list = await (await fetch(`${server.url}demo/since`)).json();
    return list.length === 1 && list;
  });
  equal(ada.id, 1);
  ok(Date.parse(ada.since) >= before && Date.parse(ada.since) <= Date.now());
});

Deno.test("a server with simulated users stops cleanly", async () => {
  await using other = await startServer();
  const body = '{"add":300}';
  await (await fetch(`${other.url}demo/crowd`, { method: "POST", body }))
    .json();
  await until("more than 100 are online", async () => {
    const list = await (await fetch(`${other.url}users/online`)).json();
    return list.online_users.length > 100;
  });
  const before = other.log.length;
  equal(await other.stop(), 0);
  const lines = other.log.slice(before);
  deepEqual(lines.filter((line) => !line.includes('"level":"info"')), []);
});
