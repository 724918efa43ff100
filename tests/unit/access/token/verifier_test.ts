import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { signToken } from "../../../../src/access/token/sign_token.ts";
import {
  createVerifier,
  type GoodVerdict,
  rejectingRevoked,
} from "../../../../src/access/token/verifier.ts";
import type { Config } from "../../../../src/config/config.ts";
import { KeySetUnavailable } from "../../../../src/access/token/key_set.ts";
import { KEYS_TRIED_MAX } from "../../../../src/access/token/limits.ts";
import {
  DISCONNECT,
  withDetail,
} from "../../../../src/client/protocol/disconnect.ts";
import {
  INTEGER_IDS,
  type UserIds,
  userIds,
} from "../../../../src/client/protocol/user_id.ts";
import { TEST_SECRET } from "../../../support/server.ts";

const base: Config["token"] = {
  key: { kind: "secret", secret: TEST_SECRET },
  issuer: undefined,
  audiences: undefined,
  userClaim: "sub",
  usernameClaims: ["preferred_username", "name"],
  ...{ groupsClaim: undefined, groupsPerUserMax: 100 },
};
const encode = (secret: string) => new TextEncoder().encode(secret);
const EXP = Math.floor(Date.now() / 1000) + 60;
const NO_OTHER_CLAIMS = {
  ...{ tokenId: undefined, username: undefined },
  ...{ groups: undefined, issuedAt: 0 },
};
const soon = () => EXP;

/** The refusal of a token for one of its claims. */
const expected = (claim: string, what: string) =>
  withDetail(DISCONNECT.tokenClaimInvalid, claim, what);

/** A token with these claims, signed with the secret of `base`. */
const sign = (claims: Record<string, unknown>) =>
  new SignJWT({ exp: EXP, ...claims }).setProtectedHeader({ alg: "HS256" })
    .sign(encode(TEST_SECRET));

Deno.test("[P1] a signed token verifies with the same configuration", async () => {
  const token = await signToken(
    { ...base, key: { kind: "secret", secret: TEST_SECRET } },
    42,
    60,
  );
  const verdict = await createVerifier(base)(token);
  deepEqual(verdict.ok && verdict.userId, 42);
  ok(verdict.ok && Math.abs(verdict.exp - EXP) < 30);
});

Deno.test("[P1] a token that is signed for a path and several audiences verifies", async () => {
  const config = {
    ...{ ...base, userClaim: "app_metadata.user_id", issuer: "me" },
    audiences: ["web", "app"],
    key: { kind: "secret", secret: TEST_SECRET } as const,
  };
  const verdict = await createVerifier(config)(await signToken(config, 42, 60));
  equal(verdict.ok && verdict.userId, 42);
});

Deno.test("[V1] a token is signed with the groups of its user, where there is a claim for them", async () => {
  const signed = async (groupsClaim: string | undefined) => {
    const config = {
      ...{ ...base, groupsClaim },
      key: { kind: "secret", secret: TEST_SECRET } as const,
    };
    const token = await signToken(config, 42, 60, ["b", "a"]);
    const verdict = await createVerifier(config)(token);
    return verdict.ok && verdict.groups;
  };
  deepEqual(await signed("app_metadata.teams"), ["a", "b"]);
  equal(await signed(undefined), undefined);
});

Deno.test("[P1] the user claim may be a number and may have another name", async () => {
  const token = await new SignJWT({ uid: 7, exp: soon() }).setProtectedHeader({
    alg: "HS256",
  })
    .sign(encode(TEST_SECRET));
  deepEqual(await createVerifier({ ...base, userClaim: "uid" })(token), {
    ok: true,
    userId: 7,
    exp: EXP,
    ...NO_OTHER_CLAIMS,
  });
});

Deno.test("[P1] issuer and audience must be as configured", async () => {
  const verify = createVerifier({ ...base, issuer: "me", audiences: ["us"] });
  const signFor = (claims: Record<string, unknown>) =>
    sign({ sub: "1", ...claims });
  deepEqual(await verify(await signFor({ iss: "me", aud: ["them", "us"] })), {
    ok: true,
    userId: 1,
    exp: EXP,
    ...NO_OTHER_CLAIMS,
  });
  const refusals = [
    [{ iss: "you", aud: "us" }, expected("iss", "me")],
    [{ iss: "me", aud: "them" }, expected("aud", "us")],
    [{ iss: "me", aud: 7 }, expected("aud", "us")],
    [{ aud: "us" }, expected("iss", "me")],
  ] as const;
  for (const [claims, why] of refusals) {
    deepEqual(await verify(await signFor(claims)), { ok: false, why });
  }
});

Deno.test("[P1] a token for any of the configured audiences is accepted", async () => {
  const verify = createVerifier({ ...base, audiences: ["web", "app"] });
  for (const aud of ["web", "app", ["other", "app"]]) {
    equal((await verify(await sign({ sub: "1", aud }))).ok, true);
  }
  for (const aud of ["other", "web,app", undefined]) {
    deepEqual(await verify(await sign({ sub: "1", aud })), {
      ...{ ok: false, why: expected("aud", "web or app") },
    });
  }
});

Deno.test("[P1] a secret verifies no other algorithm than HS256", async () => {
  const token = await new SignJWT({ sub: "1", exp: soon() }).setProtectedHeader(
    { alg: "HS512" },
  )
    .sign(encode(TEST_SECRET.repeat(2)));
  deepEqual(await createVerifier(base)(token), {
    ok: false,
    why: DISCONNECT.tokenAlgorithmNotAllowed,
  });
});

Deno.test("[P1] a key set verifies its own keys and nothing signed with a secret", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256", {
    extractable: true,
  });
  const jwk = { ...await exportJWK(publicKey), kid: "k1", alg: "ES256" };
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => Response.json({ keys: [jwk] }),
  );
  const url = new URL(`http://127.0.0.1:${server.addr.port}/jwks`);
  const verify = createVerifier({ ...base, key: { kind: "jwks", url } });
  const sign = (kid: string) =>
    new SignJWT({ sub: "5", exp: soon() }).setProtectedHeader({
      alg: "ES256",
      kid,
    })
      .sign(privateKey);
  deepEqual(await verify(await sign("k1")), {
    ...{ ok: true, userId: 5, exp: EXP },
    ...NO_OTHER_CLAIMS,
  });
  // A new verifier fetches the keys again, so that an unknown key is surely unknown.
  const anew = createVerifier({ ...base, key: { kind: "jwks", url } });
  deepEqual(await anew(await sign("k2")), {
    ok: false,
    why: DISCONNECT.tokenKeyUnknown,
  });
  const forged = await new SignJWT({ sub: "5", exp: soon() })
    .setProtectedHeader({ alg: "HS256", kid: "k1" }).sign(
      encode(JSON.stringify(jwk)),
    );
  equal((await verify(forged)).ok, false);
});

/** Serves a key set, and signs with any of its private keys. */
async function issuerOf(
  keys: number,
  alg = "ES256",
  kid = (n: number) => `k${n}`,
) {
  const pairs = await Promise.all(
    Array.from(
      { length: keys },
      () => generateKeyPair(alg, { extractable: true }),
    ),
  );
  const set = await Promise.all(
    pairs.map(async ({ publicKey }, n) => ({
      ...await exportJWK(publicKey),
      ...{ kid: kid(n), alg },
    })),
  );
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => Response.json({ keys: set }),
  );
  const url = new URL(`http://127.0.0.1:${server.addr.port}/jwks`);
  return {
    verify: createVerifier({ ...base, key: { kind: "jwks", url } }),
    signWith: (n: number, claims = {}, header = {}) =>
      new SignJWT({ sub: "5", exp: EXP, ...claims })
        .setProtectedHeader({ alg, ...header })
        .sign(pairs[n]?.privateKey ?? encode(TEST_SECRET)),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

Deno.test("[P1] a token that does not name one of several keys is verified with each of them", async () => {
  await using it = await issuerOf(3);
  for (const n of [0, 1, 2]) {
    const verdict = await it.verify(await it.signWith(n));
    equal(verdict.ok && verdict.userId, 5);
  }
  deepEqual(await it.verify(await it.signWith(1, { sub: "ada" })), {
    ok: false,
    why: expected("sub", "a user id from 1 to 2147483647"),
  });
  const { privateKey } = await generateKeyPair("ES256");
  const forged = await new SignJWT({ sub: "5", exp: EXP })
    .setProtectedHeader({ alg: "ES256" }).sign(privateKey);
  deepEqual(await it.verify(forged), {
    ok: false,
    why: DISCONNECT.tokenSignatureInvalid,
  });
});

Deno.test("[P1] a token that names two keys of one id is verified with both", async () => {
  await using it = await issuerOf(2, "ES256", () => "same");
  for (const n of [0, 1]) {
    const token = await it.signWith(n, {}, { kid: "same" });
    equal((await it.verify(token)).ok, true);
  }
});

Deno.test("[L1] a token that does not name its key is verified with at most KEYS_TRIED_MAX keys", async () => {
  await using it = await issuerOf(KEYS_TRIED_MAX + 1);
  equal((await it.verify(await it.signWith(KEYS_TRIED_MAX - 1))).ok, true);
  deepEqual(await it.verify(await it.signWith(KEYS_TRIED_MAX)), {
    ok: false,
    why: DISCONNECT.tokenKeyUnknown,
  });
});

for (const alg of ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]) {
  Deno.test(`[P1] a key set verifies ${alg}`, async () => {
    await using it = await issuerOf(1, alg);
    const token = await it.signWith(0, {}, { kid: "k0" });
    equal((await it.verify(token)).ok, true);
  });
}

for (const alg of ["RS512", "PS512", "ES384"]) {
  Deno.test(`[P1] a key set does not verify ${alg}`, async () => {
    await using it = await issuerOf(1, alg);
    const token = await it.signWith(0, {}, { kid: "k0" });
    deepEqual(await it.verify(token), {
      ok: false,
      why: DISCONNECT.tokenAlgorithmNotAllowed,
    });
  });
}

Deno.test("[P1] a reason fits into a close frame, however long the claim's name is", async () => {
  for (const userClaim of ["c".repeat(200), "\u00e9".repeat(200)]) {
    const verdict = await createVerifier({ ...base, userClaim })(
      await sign({}),
    );
    ok(!verdict.ok);
    const { reason } = verdict.why;
    ok(new TextEncoder().encode(reason).length <= 123);
    ok(reason.startsWith(`token claim ${userClaim.slice(0, 30)}`));
    ok(reason.isWellFormed() && !reason.includes("\ufffd"));
  }
});

Deno.test("[P1] a token may be valid until the year 9999, which some issuers use for never", async () => {
  const exp = Date.UTC(9999, 11, 31) / 1_000;
  const verdict = await createVerifier(base)(await sign({ sub: "1", exp }));
  equal(verdict.ok && verdict.exp, exp);
});

const refusedClaims: Record<
  string,
  { claims: Record<string, unknown>; reason: string }
> = {
  "no exp": {
    claims: { exp: undefined },
    reason: "token claim exp: expected a number of seconds since 1970",
  },
  "an exp that is a text": {
    claims: { exp: "soon" },
    reason: "token claim exp: expected a number of seconds since 1970",
  },
  "an exp in milliseconds": {
    claims: { exp: EXP * 1_000 },
    reason:
      "token claim exp: expected a number of seconds since 1970, not milliseconds",
  },
  "an nbf in milliseconds": {
    claims: { nbf: EXP * 1_000 },
    reason:
      "token claim nbf: expected a number of seconds since 1970, not milliseconds",
  },
  "an nbf that is a text": {
    claims: { nbf: "soon" },
    reason: "token claim nbf: expected a number of seconds since 1970",
  },
  "no user id": {
    claims: { sub: null },
    reason: "token claim sub: expected a user id from 1 to 2147483647",
  },
  "a jti that is a number": {
    claims: { jti: 7 },
    reason: "token claim jti: expected text of 1 to 256 characters",
  },
};

const { reason: template } = DISCONNECT.tokenClaimInvalid;

for (const [name, { claims, reason }] of Object.entries(refusedClaims)) {
  Deno.test(`[P1] the refusal of a token with ${name} says what was expected where`, async () => {
    const verdict = await createVerifier(base)(
      await sign({ sub: "1", ...claims }),
    );
    deepEqual(verdict, { ok: false, why: { code: 1008, reason, template } });
  });
}

for (
  const [reason, times] of [
    ["token expired", { exp: EXP - 2 * 3_600 }],
    ["token is not valid yet", { nbf: EXP }],
  ] as const
) {
  Deno.test(`[P1] the refusal "${reason}" asks for another token, with 4401`, async () => {
    const verdict = await createVerifier(base)(
      await sign({ sub: "1", ...times }),
    );
    deepEqual(verdict, { ok: false, why: { code: 4401, reason } });
  });
}

Deno.test("[U3] the refusal of a token says what the ids of the users table look like", async () => {
  const reasonOf = async (ids: UserIds, claims: Record<string, unknown>) => {
    const userClaim = "app_metadata.user_id";
    const verify = createVerifier({ ...base, userClaim }, ids);
    const verdict = await verify(await sign(claims));
    return !verdict.ok && verdict.why.reason;
  };
  equal(
    await reasonOf(userIds("uuid"), { "app_metadata.user_id": "7" }),
    "token claim app_metadata.user_id: expected a user id: a UUID",
  );
  equal(
    await reasonOf(userIds("text"), { app_metadata: { user_id: "" } }),
    "token claim app_metadata.user_id: expected a user id: text of 1 to 255 characters",
  );
});

Deno.test("[U3] a number that JSON cannot hold exactly is no user id, which would be another user's", async () => {
  const verify = createVerifier(base, userIds("bigint", "string"));
  const text = await verify(await sign({ sub: "9007199254740993" }));
  equal(text.ok && text.userId, "9007199254740993");
  const number = await verify(await sign({ sub: 9007199254740993 }));
  equal(number.ok, false);
});

const userClaims: Record<
  string,
  { userClaim: string; claims: Record<string, unknown>; userId?: number }
> = {
  "of its name": { userClaim: "uid", claims: { uid: 7 }, userId: 7 },
  "inside of another": {
    ...{ userClaim: "app_metadata.user_id", userId: 7 },
    claims: { app_metadata: { user_id: 7 } },
  },
  "whose name has dots and slashes": {
    ...{ userClaim: "https://app.example/user_id", userId: 7 },
    claims: { "https://app.example/user_id": 7 },
  },
  "inside of one whose name has dots": {
    ...{
      userClaim: "https://hasura.io/jwt/claims.x-hasura-user-id",
      userId: 7,
    },
    claims: { "https://hasura.io/jwt/claims": { "x-hasura-user-id": "7" } },
  },
  "of that very name before one that is inside of another": {
    ...{ userClaim: "a.b", userId: 7 },
    claims: { "a.b": 7, a: { b: 8 } },
  },
  "that is not there": { userClaim: "a.b.c", claims: { a: { b: 7 } } },
  "that would be inside of null": { userClaim: "a.b", claims: { a: null } },
  "that every object has": {
    userClaim: "a.constructor.length",
    claims: { a: {} },
  },
  "that every claim has": { userClaim: "sub.length", claims: { sub: "1" } },
};

for (
  const [name, { userClaim, claims, userId }] of Object.entries(userClaims)
) {
  Deno.test(`[P1] JWT_USER_CLAIM may name a claim ${name}`, async () => {
    const verdict = await createVerifier({ ...base, userClaim })(
      await sign(claims),
    );
    equal(verdict.ok ? verdict.userId : undefined, userId);
  });
}

Deno.test("an unavailable key set is an error, not a refusal of the token", async () => {
  const url = new URL("http://127.0.0.1:1/jwks");
  const verify = createVerifier({ ...base, key: { kind: "jwks", url } });
  const { privateKey } = await generateKeyPair("ES256");
  const token = await new SignJWT({ sub: "5", exp: soon() }).setProtectedHeader(
    { alg: "ES256" },
  )
    .sign(privateKey);
  await rejects(verify(token));
});

Deno.test("a key set is fetched when the verifier is made, and reported if it cannot be had", async () => {
  const url = new URL("http://127.0.0.1:1/jwks");
  const reported = Promise.withResolvers<unknown>();
  createVerifier({ ...base, key: { kind: "jwks", url } }, INTEGER_IDS, {
    onFetched() {},
    onUnavailable: reported.resolve,
  });
  const fault = await reported.promise;
  ok(fault instanceof KeySetUnavailable);
  ok(fault.message.includes("http://127.0.0.1:1/jwks"));
});

Deno.test("[P1] a token id that no revocation could name is refused", async () => {
  const verify = createVerifier(base);
  const signWithId = (jti: unknown) => sign({ sub: "1", jti });
  equal((await verify(await signWithId("x".repeat(256)))).ok, true);
  for (const jti of [7, "", "x".repeat(257), "a\0b", "\ud800", { a: 1 }]) {
    deepEqual(await verify(await signWithId(jti)), {
      ok: false,
      why: expected("jti", "text of 1 to 256 characters"),
    });
  }
});

Deno.test("a token id of null counts as none", async () => {
  const verdict = await createVerifier(base)(
    await sign({ sub: "1", jti: null }),
  );
  deepEqual(verdict.ok && [verdict.tokenId], [undefined]);
});

Deno.test("the username is the first of the configured claims that is a text", async () => {
  const nameOf = async (
    claims: Record<string, unknown>,
    usernameClaims = base.usernameClaims,
  ) => {
    const token = await sign({ sub: "1", jti: "t", ...claims });
    const verdict = await createVerifier({ ...base, usernameClaims })(token);
    return verdict.ok && verdict.tokenId === "t" && verdict.username;
  };
  equal(await nameOf({ name: "Ada L", preferred_username: "ada" }), "ada");
  equal(await nameOf({ name: "Ada L", preferred_username: 7 }), "Ada L");
  equal(await nameOf({ name: " " }), undefined);
  equal(await nameOf({ name: "x", nick: "a" }, ["nick"]), "a");
  equal(
    await nameOf({ user_metadata: { full_name: "Ada" } }, [
      "user_metadata.full_name",
    ]),
    "Ada",
  );
});

Deno.test("[L1] a token that was revoked is refused, and is not known although it was verified before", async () => {
  const revoked = new Set<string | undefined>();
  const verdict: GoodVerdict = {
    ...{ userId: 1, exp: 100, tokenId: "t", username: undefined },
    ...{ groups: undefined, issuedAt: 0 },
    ok: true,
  };
  const { verify, known } = rejectingRevoked(
    { verify: () => Promise.resolve(verdict), known: () => verdict },
    (tokenId) => revoked.has(tokenId),
  );
  deepEqual([await verify("token"), known("token")], [verdict, verdict]);
  revoked.add("t");
  deepEqual([await verify("token"), known("token")], [
    { ok: false, why: DISCONNECT.tokenRevoked },
    undefined,
  ]);
});
