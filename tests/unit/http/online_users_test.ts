import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { Hono } from "@hono/hono";
import { Roster } from "../../../src/core/roster/roster.ts";
import {
  LIST_ADDRESS_BUDGETS,
  LIST_BURST_SECONDS,
  LIST_WHOLE_BYTES_MAX,
} from "../../../src/http/limits.ts";
import { OnlineUsersEndpoint } from "../../../src/http/online_users.ts";
import type { HttpEnv } from "../../../src/http/request.ts";
import { INTEGER_IDS } from "../../../src/client/protocol/user_id.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { rememberingLog, unlimited } from "../../support/fakes.ts";

/** Asks an endpoint whose list is public. */
function endpointOf(
  roster: Roster,
  listBytesPerSecondMax = 1_000_000,
  clock = new FakeClock(),
) {
  const endpoint = new OnlineUsersEndpoint({
    config: {
      ...{ rosterAccess: "public", allowedOrigins: "*" },
      ...{ autoProvision: false, listBytesPerSecondMax },
    },
    store: { findUsers: () => Promise.reject(new Error("not used")) },
    ...{ roster, clock, ids: INTEGER_IDS },
    ...unlimited(() => Promise.reject(new Error("not used"))),
    log: rememberingLog(),
  });
  const app = new Hono<HttpEnv>();
  app.get("/users/online", (c) => endpoint.answer(c));
  return async (query = "", ifNoneMatch = "") => {
    const headers = { "if-none-match": ifNoneMatch };
    const response = await app.request(`/users/online${query}`, { headers }, {
      address: "192.0.2.1",
    });
    return {
      status: response.status,
      headers: response.headers,
      etag: response.headers.get("etag") ?? "",
      body: await response.text(),
    };
  };
}

function online(seq: number, userId: number) {
  return { seq, userId, username: `user${userId}`, status: "online" } as const;
}

Deno.test("[P7] /users/online has an ETag that changes with the roster and with a rename", async () => {
  const roster = new Roster();
  const ask = endpointOf(roster);
  const empty = await ask();
  equal(empty.body, '{"online_users":[]}');
  match(empty.etag, /^"0-[\w-]{16}"$/);
  roster.advance(online(1, 7));
  const one = await ask();
  equal(one.body, '{"online_users":[{"id":7,"username":"user7"}]}');
  notEqual(one.etag, empty.etag);
  equal((await ask("", one.etag)).status, 304);
  equal((await ask("", `W/${one.etag}, "other"`)).status, 304);
  roster.rename([{ id: 7, username: "grace" }]);
  const renamed = await ask("", one.etag);
  equal(renamed.status, 200);
  match(renamed.body, /grace/);
  notEqual(renamed.etag, one.etag);
});

Deno.test("a filtered /users/online has an ETag of its own and leaves that of the whole list alone", async () => {
  const roster = new Roster();
  roster.advance(online(1, 7));
  roster.advance(online(2, 8));
  const ask = endpointOf(roster);
  const whole = await ask();
  const filtered = await ask("?ids=8,9");
  deepEqual(JSON.parse(filtered.body), {
    online_users: [{ id: 8, username: "user8" }],
  });
  notEqual(filtered.etag, whole.etag);
  equal((await ask("?ids=8,9", filtered.etag)).status, 304);
  equal((await ask("?ids=8,9", whole.etag)).status, 200);
  equal((await ask("", whole.etag)).status, 304);
  const refused = await ask("?ids=8,x");
  equal(refused.status, 400);
  deepEqual(JSON.parse(refused.body).error, {
    code: "bad_ids",
    message: 'ids: expected a user id from 1 to 2147483647, got "x"',
  });
});

Deno.test("[L1] a client past its budget of bytes gets 429 and when to retry, and 304 costs nothing", async () => {
  const roster = new Roster();
  roster.advance(online(1, 7));
  const clock = new FakeClock();
  // One list a second, and as many at once as the address saves.
  const listBytes = '{"online_users":[{"id":7,"username":"user7"}]}'.length;
  const rate = listBytes / LIST_ADDRESS_BUDGETS;
  const ask = endpointOf(roster, rate, clock);
  const { etag } = await ask();
  for (let n = 1; n < LIST_BURST_SECONDS; n++) equal((await ask()).status, 200);
  for (let n = 0; n < 100; n++) equal((await ask("", etag)).status, 304);
  const refused = await ask();
  equal(refused.status, 429);
  equal(JSON.parse(refused.body).error.code, "too_many_bytes");
  match(refused.headers.get("retry-after") ?? "", /^[12]$/);
  equal(refused.headers.get("vary"), "Origin");
  equal((await ask("?ids=8")).status, 429);
  await clock.advance(1_000);
  equal((await ask()).status, 200);
  equal((await ask()).status, 429);
});

Deno.test("a long list arrives whole, with its length", async () => {
  const roster = new Roster();
  for (let seq = 1; seq <= 10_000; seq++) roster.advance(online(seq, seq));
  const { headers, body } = await endpointOf(roster)();
  ok(body.length > LIST_WHOLE_BYTES_MAX);
  equal(headers.get("content-length"), String(body.length));
  deepEqual(JSON.parse(body).online_users.length, 10_000);
});
