import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { Hono } from "@hono/hono";
import type { GroupsWritten } from "../../../src/access/group_writer.ts";
import { Roster } from "../../../src/core/roster/roster.ts";
import {
  LIST_ADDRESS_BUDGETS,
  LIST_BURST_SECONDS,
  LIST_WHOLE_BYTES_MAX,
} from "../../../src/http/limits.ts";
import { OnlineUsersEndpoint } from "../../../src/http/online_users.ts";
import type { HttpEnv } from "../../../src/http/request.ts";
import { DISCONNECT } from "../../../src/client/protocol/disconnect.ts";
import {
  INTEGER_IDS,
  type UserId,
} from "../../../src/client/protocol/user_id.ts";
import type { FoundUser } from "../../../src/postgres/rows.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import {
  rememberingLog,
  unlimited,
  WITHOUT_GROUPS,
} from "../../support/fakes.ts";

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
    ...{ ...WITHOUT_GROUPS, groups: undefined },
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

/** Asks an endpoint with groups. The token of a user is its id. */
function groupedEndpointOf(
  roster: Roster,
  { autoProvision = false, written = "written" as GroupsWritten } = {},
) {
  const log = rememberingLog();
  /** Those that the database has of users who are not online. */
  const groups = new Map<UserId, FoundUser["groups"]>();
  const state = { isReadable: true };
  const endpoint = new OnlineUsersEndpoint({
    config: {
      ...{ rosterAccess: "token", allowedOrigins: "*" },
      ...{ autoProvision, listBytesPerSecondMax: 1_000_000 },
    },
    groups: { perUserMax: 3 },
    groupWriter: { write: () => Promise.resolve(written) },
    store: {
      findUsers: (ids) =>
        state.isReadable
          ? Promise.resolve(
            ids.filter((id) => groups.has(id))
              .map((id) => ({ id, groups: groups.get(id) })),
          )
          : Promise.reject(new Error("relation teams does not exist")),
    },
    ...{ roster, clock: new FakeClock(), ids: INTEGER_IDS, log },
    ...unlimited((token = "") =>
      Promise.resolve(
        token === "" ? { ok: false, why: DISCONNECT.tokenMissing } : {
          ...{ ok: true, userId: Number(token), exp: Infinity },
          ...{ tokenId: undefined, username: undefined },
          ...{ groups: undefined, issuedAt: 0 },
        },
      )
    ),
  });
  const app = new Hono<HttpEnv>();
  app.get("/users/online", (c) => endpoint.answer(c));
  const ask = async (userId: number | "", query = "", ifNoneMatch = "") => {
    const headers = {
      "if-none-match": ifNoneMatch,
      authorization: `Bearer ${userId}`,
    };
    const response = await app.request(`/users/online${query}`, { headers }, {
      address: "192.0.2.1",
    });
    const text = await response.text();
    const { online_users, error } = text === "" ? {} : JSON.parse(text);
    return {
      ...{ status: response.status, headers: response.headers, text, error },
      ids: online_users?.map(({ id }: { id: number }) => id),
    };
  };
  return { ask, groups, state, log };
}

/** Brings users online in groups, or moves them, one transition each. */
function place(roster: Roster, users: Record<number, readonly string[]>) {
  for (const [id, groups] of Object.entries(users)) {
    roster.advance({ ...online(roster.seq + 1, Number(id)), groups });
  }
}

Deno.test("[V1] with groups the list shows those who share a group with the token's user, whole and with ids", async () => {
  const roster = new Roster();
  place(roster, { 1: ["a"], 2: ["a", "b"], 3: ["b"], 4: [], 5: ["c"] });
  const { ask } = groupedEndpointOf(roster);
  const expected: Record<number, number[]> = {
    ...{ 1: [1, 2], 2: [1, 2, 3], 3: [2, 3], 4: [4], 5: [5] },
  };
  for (const [id, ids] of Object.entries(expected)) {
    deepEqual((await ask(Number(id))).ids, ids);
    const some = await ask(Number(id), "?ids=1,2,3,4,5,6");
    deepEqual(some.ids, ids);
  }
});

Deno.test("[V1] an id that is out of sight is answered as one that does not exist, byte by byte", async () => {
  const roster = new Roster();
  place(roster, { 1: ["a"], 2: ["b"] });
  const { ask } = groupedEndpointOf(roster);
  const [hidden, none] = [await ask(1, "?ids=2"), await ask(1, "?ids=3")];
  equal(hidden.text, '{"online_users":[]}');
  equal(hidden.text, none.text);
  deepEqual([...hidden.headers], [...none.headers]);
});

Deno.test("[V1] with groups the ETag has no seq, and changes with what the reader sees alone", async () => {
  const roster = new Roster();
  place(roster, { 1: ["a"], 2: ["b"] });
  const { ask } = groupedEndpointOf(roster);
  const first = await ask(1);
  const etag = first.headers.get("etag") ?? "";
  match(etag, /^"[\w-]{16}"$/);
  place(roster, { 3: ["b"], 2: ["c"] });
  roster.rename([{ id: 3, username: "grace" }]);
  equal((await ask(1, "", etag)).status, 304);
  roster.rename([{ id: 1, username: "ada" }]);
  equal((await ask(1, "", etag)).status, 200);
  equal((await ask(2, "", etag)).status, 200);
});

Deno.test("[V1] with groups no cache may keep the list for others, also not an error or 304", async () => {
  const roster = new Roster();
  place(roster, { 1: ["a"] });
  const { ask } = groupedEndpointOf(roster);
  const list = await ask(1);
  const etag = list.headers.get("etag") ?? "";
  for (const { headers } of [list, await ask(1, "", etag)]) {
    equal(headers.get("cache-control"), "private, no-cache");
    equal(headers.get("vary"), "Origin, Authorization");
  }
  const refused = await ask("");
  equal(refused.status, 401);
  equal(refused.headers.get("vary"), "Origin, Authorization");
});

Deno.test("[V3] the list of a user who is online follows the roster at once", async () => {
  const roster = new Roster();
  place(roster, { 1: ["a"], 2: ["a"], 3: ["b"] });
  const { ask } = groupedEndpointOf(roster);
  deepEqual((await ask(1)).ids, [1, 2]);
  place(roster, { 1: ["b"] });
  deepEqual((await ask(1)).ids, [1, 3]);
  deepEqual((await ask(2)).ids, [2]);
  place(roster, { 1: [] });
  deepEqual((await ask(1)).ids, [1]);
  deepEqual((await ask(3)).ids, [3]);
});

Deno.test("[V1] a user who is not online sees the list of the groups that are read, and itself in none", async () => {
  const roster = new Roster();
  place(roster, { 1: ["a"], 2: ["b"] });
  // From a time without groups.
  roster.advance(online(3, 3));
  const { ask, groups } = groupedEndpointOf(roster);
  groups.set(7, ["a"]);
  groups.set(8, []);
  deepEqual((await ask(7)).ids, [1]);
  deepEqual((await ask(8)).ids, []);
  equal((await ask(9)).status, 401);
  const { ask: askProvisioning } = groupedEndpointOf(roster, {
    autoProvision: true,
  });
  deepEqual((await askProvisioning(9)).ids, []);
});

Deno.test("[V5] groups that cannot be read or written are 503, and never everybody", async () => {
  const roster = new Roster();
  place(roster, { 1: ["a"], 2: ["b"] });
  const { ask, state } = groupedEndpointOf(roster);
  state.isReadable = false;
  const unread = await ask(7);
  deepEqual([unread.status, unread.error.code], [503, "unavailable"]);
  equal(unread.headers.get("retry-after"), "5");
  ok(!unread.text.includes("teams"));
  deepEqual((await ask(1)).ids, [1]);
  const { ask: askUnwritten } = groupedEndpointOf(roster, {
    written: "failed",
  });
  equal((await askUnwritten(1)).status, 503);
});

Deno.test("[L1] a user in too many groups gets 403, and what the limits are", async () => {
  const { ask, groups } = groupedEndpointOf(new Roster());
  groups.set(7, "too many");
  const { status, error } = await ask(7);
  equal(status, 403);
  deepEqual(error, {
    code: "too_many_groups",
    message:
      "the user is in more than 3 groups, or a group id is longer than 128 characters",
  });
});
