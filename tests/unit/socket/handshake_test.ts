import { deepEqual, equal, ok } from "node:assert/strict";
import { INTEGER_IDS } from "../../../src/client/protocol/user_id.ts";
import { readSocketRequest } from "../../../src/socket/handshake.ts";

const WATCHED_MAX = 3;

const HANDSHAKE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

function read(
  query: string,
  headers: Record<string, string> = {},
  method = "GET",
) {
  const request = new Request(`http://node.example/ws${query}`, {
    ...{ method, headers: { ...HANDSHAKE, ...headers } },
  });
  return readSocketRequest(request, WATCHED_MAX, INTEGER_IDS);
}

function readV2(query: string) {
  return read(query, { "sec-websocket-protocol": "rollcall.v2" });
}

async function errorOf(answer: ReturnType<typeof read>): Promise<string> {
  ok(answer instanceof Response);
  equal(answer.status, 400);
  return (await answer.json()).error.code;
}

const bad = [400, "bad_handshake"] as const;
const otherVersion = [426, "upgrade_required"] as const;

for (
  const [what, name, value, [status, code]] of [
    ["no key", "sec-websocket-key", "", bad],
    ["a key of 15 bytes", "sec-websocket-key", "dGhlIHNhbXBsZSBub25j", bad],
    ["no base64", "sec-websocket-key", "dGhlIHNhbXBsZSBub25-ZQ==", bad],
    ["two keys", "sec-websocket-key", `dGhlIHNhbXBsZSBub25jZQ==, x`, bad],
    ["no upgrade", "connection", "keep-alive", bad],
    ["no version", "sec-websocket-version", "", otherVersion],
    ["version 8", "sec-websocket-version", "8", otherVersion],
  ] as const
) {
  Deno.test(`a handshake with ${what} in ${name} is refused with ${status} ${code}`, async () => {
    const answer = read("", { [name]: value });
    ok(answer instanceof Response);
    deepEqual([answer.status, (await answer.json()).error.code], [
      status,
      code,
    ]);
    const version = answer.headers.get("sec-websocket-version");
    equal(version, status === 426 ? "13" : null);
  });
}

Deno.test("a handshake by HEAD is refused with 405", () => {
  const answer = read("", {}, "HEAD");
  ok(answer instanceof Response);
  deepEqual([answer.status, answer.headers.get("allow")], [405, "GET"]);
});

Deno.test("Connection may be a list", () => {
  const answer = read("", { connection: "keep-alive, upgrade" });
  ok(!(answer instanceof Response));
});

for (
  const [offer, version, protocol] of [
    [undefined, 1, undefined],
    ["rollcall.v1", 1, "rollcall.v1"],
    ["rollcall.v2", 2, "rollcall.v2"],
    ["chat,rollcall.v2, rollcall.v1", 2, "rollcall.v2"],
  ] as const
) {
  Deno.test(`an offer of ${offer} is version ${version}`, () => {
    const headers = offer === undefined
      ? {}
      : { "sec-websocket-protocol": offer };
    const wanted = read("", headers);
    ok(!(wanted instanceof Response));
    deepEqual([wanted.version, wanted.protocol], [version, protocol]);
  });
}

Deno.test("the token is in the subprotocol, else the header, else the query", () => {
  const tokenOf = (query: string, headers: Record<string, string>) => {
    const wanted = read(query, headers);
    return wanted instanceof Response ? undefined : wanted.token;
  };
  const subprotocol = { "sec-websocket-protocol": "rollcall.v2, bearer.a" };
  const header = { authorization: "Bearer b" };
  equal(tokenOf("?token=c", { ...subprotocol, ...header }), "a");
  equal(tokenOf("?token=c", header), "b");
  equal(tokenOf("?token=c", {}), "c");
  equal(tokenOf("", {}), undefined);
});

Deno.test("since and watch are read for version 2", () => {
  const wanted = readV2("?since=7&watch=1,3");
  ok(!(wanted instanceof Response));
  deepEqual([wanted.since, wanted.watch], [7, new Set([1, 3])]);
  for (const [query, watch] of [["", "*"], ["?watch=*", "*"]]) {
    const wanted = readV2(query ?? "");
    ok(!(wanted instanceof Response));
    deepEqual([wanted.since, wanted.watch], [undefined, watch]);
  }
  const none = readV2("?watch=");
  ok(!(none instanceof Response));
  deepEqual(none.watch, new Set());
});

for (
  const [query, code] of [
    ["?since=x", "bad_since"],
    ["?since=-1", "bad_since"],
    ["?since=9999999999999999", "bad_since"],
    ["?watch=x", "bad_watch"],
    ["?watch=1,2,3,4", "bad_watch"],
  ] as const
) {
  Deno.test(`the query ${query} is refused with ${code}`, async () => {
    equal(await errorOf(readV2(query)), code);
  });
}

Deno.test("the refusal of a watch names what is no id, or says how many may be watched", async () => {
  const messageOf = async (query: string) => {
    const answer = readV2(query);
    ok(answer instanceof Response);
    return (await answer.json()).error.message;
  };
  equal(
    await messageOf("?watch=1,ada"),
    'watch: expected a user id from 1 to 2147483647, got "ada"',
  );
  equal(
    await messageOf(`?watch=${"9".repeat(60)}`),
    `watch: expected a user id from 1 to 2147483647, got "${
      "9".repeat(40)
    }..."`,
  );
  equal(
    await messageOf("?watch=1,2,3,4"),
    "watch: expected at most 3 user ids, separated by commas",
  );
});

Deno.test("since and watch are refused for version 1", async () => {
  equal(await errorOf(read("?since=1")), "bad_since");
  equal(await errorOf(read("?watch=1")), "bad_watch");
});

Deno.test("an offer without a supported subprotocol is refused", async () => {
  const headers = { "sec-websocket-protocol": "bearer.x" };
  equal(await errorOf(read("", headers)), "unknown_subprotocol");
});
