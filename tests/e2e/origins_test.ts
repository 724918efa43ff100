/** Origins: the pages that may connect and read, and the policy of the demo page. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { rawHandshake } from "../support/raw_socket.ts";
import { startServer, startServerOn } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const OWN = "https://app.example";
const APPS = ["capacitor://localhost", "chrome-extension://abcdef", "file://"];

async function allowedFor(url: string, init: RequestInit) {
  const response = await fetch(`${url}users/online`, init);
  await response.body?.cancel();
  const { headers, status } = response;
  return { status, origin: headers.get("access-control-allow-origin") };
}

Deno.test("only pages of ALLOWED_ORIGINS may connect and read the list", async () => {
  await using server = await startServerOn(await postgres.database(), {
    ALLOWED_ORIGINS: [OWN, "https://b.example:8443", ...APPS].join(),
  });
  const token = await tokenFor(1);
  const handshake = async (headers: Record<string, string>) => {
    const path = `/ws?token=${token}`;
    using raw = await rawHandshake(server.url, headers, "answer", path);
    return raw.status;
  };
  equal(await handshake({ Origin: OWN }), 101);
  equal(await handshake({ Origin: "https://b.example:8443" }), 101);
  for (const origin of APPS) {
    equal(await handshake({ Origin: origin }), 101, origin);
    deepEqual(await allowedFor(server.url, { headers: { origin } }), {
      ...{ status: 200, origin },
    });
  }
  equal(await handshake({}), 101, "a client that is not a page has no origin");
  for (
    const origin of [
      ...["null", "https://evil.example", "http://app.example"],
      ...["https://app.example.evil.example", "https://b.example", `${OWN}/`],
      ...["capacitor://elsewhere", "chrome-extension://ABCDEF", "file:///x"],
    ]
  ) {
    equal(await handshake({ Origin: origin }), 403, origin);
    deepEqual(await allowedFor(server.url, { headers: { origin } }), {
      ...{ status: 200, origin: null },
    }, origin);
  }
  deepEqual(await allowedFor(server.url, { headers: { origin: OWN } }), {
    ...{ status: 200, origin: OWN },
  });
  const headers = {
    origin: OWN,
    "access-control-request-method": "GET",
    "access-control-request-headers": "authorization",
  };
  deepEqual(await allowedFor(server.url, { method: "OPTIONS", headers }), {
    ...{ status: 204, origin: OWN },
  });
  const bad = { headers: { origin: OWN } };
  const refused = await fetch(`${server.url}users/online?ids=x`, bad);
  equal(refused.headers.get("access-control-allow-origin"), OWN);
  equal((await refused.json()).error.code, "bad_ids");
});

Deno.test("a page of another origin gets 403 with its origin, cut to a length, and the log names it", async () => {
  await using server = await startServerOn(await postgres.database(), {
    ALLOWED_ORIGINS: OWN,
  });
  const long = `https://${"a".repeat(200)}.example`;
  for (const origin of ["https://www.app.example", long]) {
    const shown = origin.slice(0, 100);
    const headers = { origin, connection: "upgrade", upgrade: "websocket" };
    const refused = await fetch(`${server.url}ws`, { headers });
    equal(refused.status, 403);
    deepEqual((await refused.json()).error, {
      code: "origin_not_allowed",
      message: `the origin ${shown} is not in ALLOWED_ORIGINS`,
    });
    await allowedFor(server.url, { headers: { origin } });
    for (const path of ["/ws", "/users/online"]) {
      await until(
        "the log names the origin",
        () =>
          server.log.map((line) => JSON.parse(line)).some((line) =>
            line.msg === "origin refused" && line.level === "warn" &&
            line.origin === shown && line.path === path
          ),
      );
    }
  }
});

Deno.test("the demo page runs only its own scripts, and no other page may frame it", async () => {
  await using demo = await startServer();
  const response = await fetch(demo.url);
  const page = await response.text();
  const policy = response.headers.get("content-security-policy") ?? "";
  match(policy, /default-src 'none'/);
  match(policy, /frame-ancestors 'none'/);
  ok(!policy.includes("unsafe"), policy);
  ok(!/<script(?![^>]*\bsrc=)[^>]*>|\son\w+=|\sstyle=/i.test(page));
  equal(response.headers.get("x-content-type-options"), "nosniff");
  ok(response.headers.has("referrer-policy"));
});
