import { deepEqual, equal } from "node:assert/strict";
import type { Verify } from "../../../../src/access/token/verifier.ts";
import { VERIFIED_TOKEN_MS_MAX } from "../../../../src/access/token/limits.ts";
import { DISCONNECT } from "../../../../src/protocol/disconnect.ts";
import { cached } from "../../../../src/access/token/token_cache.ts";

/** Verifies what begins with "good", and counts how often it was asked. */
function counting() {
  const asked: string[] = [];
  const verify: Verify = (token = "") => {
    asked.push(token);
    const good = { tokenId: undefined, username: undefined };
    return Promise.resolve(
      token.startsWith("good")
        ? { ok: true, userId: 1, exp: 100, ...good }
        : { ok: false, why: DISCONNECT.tokenMalformed },
    );
  };
  return { asked, verify };
}

Deno.test("a good token is verified once until it expires, a bad one each time", async () => {
  const { asked, verify } = counting();
  let now = 0;
  const verifyCached = cached(verify, 10, () => now);
  for (let n = 0; n < 3; n++) {
    equal((await verifyCached("good")).ok, true);
    equal((await verifyCached("bad")).ok, false);
  }
  deepEqual(asked, ["good", "bad", "bad", "bad"]);
  now = 100_000;
  await verifyCached("good");
  equal(asked.length, 5);
});

Deno.test("[L1] a good token is verified again after a while, however long it lives", async () => {
  let asked = 0;
  let isWithdrawn = false;
  const verify: Verify = () => {
    asked += 1;
    const good = { tokenId: undefined, username: undefined, exp: Infinity };
    return Promise.resolve(
      isWithdrawn
        ? { ok: false, why: DISCONNECT.tokenKeyUnknown }
        : { ok: true, userId: 1, ...good },
    );
  };
  let now = 0;
  const verifyCached = cached(verify, 10, () => now);
  equal((await verifyCached("good")).ok, true);
  isWithdrawn = true;
  now = VERIFIED_TOKEN_MS_MAX - 1;
  equal((await verifyCached("good")).ok, true);
  equal(asked, 1);
  now = VERIFIED_TOKEN_MS_MAX;
  equal((await verifyCached("good")).ok, false);
});

Deno.test("[L1] so many tokens are remembered and no more", async () => {
  const { asked, verify } = counting();
  const verifyCached = cached(verify, 3, () => 0);
  for (let n = 0; n < 5; n++) await verifyCached(`good${n}`);
  for (const n of [4, 3, 2]) await verifyCached(`good${n}`);
  equal(asked.length, 5);
  await verifyCached("good0");
  equal(asked.length, 6);
});
