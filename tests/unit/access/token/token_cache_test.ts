import { deepEqual, equal } from "node:assert/strict";
import { VERIFIED_TOKEN_MS_MAX } from "../../../../src/access/token/limits.ts";
import { cached } from "../../../../src/access/token/token_cache.ts";
import type { Verify } from "../../../../src/access/token/verifier.ts";
import { DISCONNECT } from "../../../../src/client/protocol/disconnect.ts";

/** A verifier that accepts tokens that start with "good", and records its calls. */
function recordingVerifier() {
  const calls: string[] = [];
  const verify: Verify = (token = "") => {
    calls.push(token);
    const good = {
      ...{ tokenId: undefined, username: undefined },
      ...{ groups: undefined, issuedAt: 0 },
    };
    return Promise.resolve(
      token.startsWith("good")
        ? { ok: true, userId: 1, exp: 100, ...good }
        : { ok: false, why: DISCONNECT.tokenMalformed },
    );
  };
  return { calls, verify };
}

Deno.test("a good token is verified once until it expires, a bad one each time", async () => {
  const { calls, verify } = recordingVerifier();
  let now = 0;
  const { verify: verifyCached, known } = cached(verify, 10, () => now);
  equal(known("good"), undefined);
  for (let n = 0; n < 3; n++) {
    const verdict = await verifyCached("good");
    equal(verdict.ok, true);
    equal(known("good"), verdict);
    equal((await verifyCached("bad")).ok, false);
    deepEqual([known("bad"), known(undefined)], [undefined, undefined]);
  }
  deepEqual(calls, ["good", "bad", "bad", "bad"]);
  now = 100_000;
  equal(known("good"), undefined);
  await verifyCached("good");
  equal(calls.length, 5);
});

Deno.test("[L1] a good token is verified again after a while, however long it lives", async () => {
  let calls = 0;
  let isWithdrawn = false;
  const verify: Verify = () => {
    calls += 1;
    const good = {
      ...{ tokenId: undefined, username: undefined, exp: Infinity },
      ...{ groups: undefined, issuedAt: 0 },
    };
    return Promise.resolve(
      isWithdrawn
        ? { ok: false, why: DISCONNECT.tokenKeyUnknown }
        : { ok: true, userId: 1, ...good },
    );
  };
  let now = 0;
  const { verify: verifyCached } = cached(verify, 10, () => now);
  equal((await verifyCached("good")).ok, true);
  isWithdrawn = true;
  now = VERIFIED_TOKEN_MS_MAX - 1;
  equal((await verifyCached("good")).ok, true);
  equal(calls, 1);
  now = VERIFIED_TOKEN_MS_MAX;
  equal((await verifyCached("good")).ok, false);
});

Deno.test("[L1] the number of cached tokens is limited, and the oldest are deleted first", async () => {
  const { calls, verify } = recordingVerifier();
  const { verify: verifyCached } = cached(verify, 3, () => 0);
  for (let n = 0; n < 5; n++) await verifyCached(`good${n}`);
  for (const n of [4, 3, 2]) await verifyCached(`good${n}`);
  equal(calls.length, 5);
  await verifyCached("good0");
  equal(calls.length, 6);
});
