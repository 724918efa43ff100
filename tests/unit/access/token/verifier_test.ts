import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { signToken } from "../../../../src/access/token/sign_token.ts";
import { createVerifier } from "../../../../src/access/token/verifier.ts";
import type { Config } from "../../../../src/config/config.ts";
import { DISCONNECT, withDetail } from "../../../../src/protocol/disconnect.ts";
import { TEST_SECRET } from "../../../support/server.ts";

const base: Config["token"] = {
  key: { kind: "secret", secret: TEST_SECRET },
  issuer: undefined,
  audience: undefined,
  userClaim: "sub",
  usernameClaims: ["preferred_username", "name"],
};
const encode = (secret: string) => new TextEncoder().encode(secret);
const EXP = Math.floor(Date.now() / 1000) + 60;
const NO_OTHER_CLAIMS = { tokenId: undefined, username: undefined };
const soon = () => EXP;

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
  const verify = createVerifier({ ...base, issuer: "me", audience: "us" });
  const sign = (claims: Record<string, unknown>) =>
    new SignJWT({ sub: "1", exp: soon(), ...claims }).setProtectedHeader({
      alg: "HS256",
    })
      .sign(encode(TEST_SECRET));
  deepEqual(await verify(await sign({ iss: "me", aud: ["them", "us"] })), {
    ok: true,
    userId: 1,
    exp: EXP,
    ...NO_OTHER_CLAIMS,
  });
  const refusals = [
    [
      { iss: "you", aud: "us" },
      withDetail(DISCONNECT.tokenClaimInvalid, "iss"),
    ],
    [
      { iss: "me", aud: "them" },
      withDetail(DISCONNECT.tokenClaimInvalid, "aud"),
    ],
    [{ aud: "us" }, withDetail(DISCONNECT.tokenClaimMissing, "iss")],
  ] as const;
  for (const [claims, why] of refusals) {
    deepEqual(await verify(await sign(claims)), { ok: false, why });
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

Deno.test("[P1] a token that does not name one of several keys is refused", async () => {
  const keys = await Promise.all(["k1", "k2"].map(async (kid) => {
    const { publicKey } = await generateKeyPair("ES256", { extractable: true });
    return { ...await exportJWK(publicKey), kid, alg: "ES256" };
  }));
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => Response.json({ keys }),
  );
  const url = new URL(`http://127.0.0.1:${server.addr.port}/jwks`);
  const verify = createVerifier({ ...base, key: { kind: "jwks", url } });
  const { privateKey } = await generateKeyPair("ES256");
  const token = await new SignJWT({ sub: "5", exp: EXP })
    .setProtectedHeader({ alg: "ES256" }).sign(privateKey);
  deepEqual(await verify(token), {
    ok: false,
    why: DISCONNECT.tokenKeyUnknown,
  });
});

Deno.test("[P1] a reason fits into a close frame, however long the claim's name is", async () => {
  const verify = createVerifier({ ...base, userClaim: "c".repeat(200) });
  const verdict = await verify(
    await new SignJWT({ exp: EXP }).setProtectedHeader({ alg: "HS256" })
      .sign(encode(TEST_SECRET)),
  );
  ok(!verdict.ok && verdict.why.reason.length < 120);
});

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

Deno.test("[P1] a token id that no revocation could name is refused", async () => {
  const verify = createVerifier(base);
  const sign = (jti: unknown) =>
    new SignJWT({ sub: "1", exp: EXP, jti } as Record<string, unknown>)
      .setProtectedHeader({ alg: "HS256" }).sign(encode(TEST_SECRET));
  equal((await verify(await sign("x".repeat(256)))).ok, true);
  for (const jti of [7, "", "x".repeat(257), "a\0b", "\ud800", { a: 1 }]) {
    deepEqual(await verify(await sign(jti)), {
      ...{ ok: false, why: withDetail(DISCONNECT.tokenIdInvalid, 256) },
    });
  }
});

Deno.test("the username is the first of the configured claims that is a text", async () => {
  const nameOf = async (
    claims: Record<string, unknown>,
    usernameClaims = base.usernameClaims,
  ) => {
    const token = await new SignJWT({ sub: "1", exp: EXP, jti: "t", ...claims })
      .setProtectedHeader({ alg: "HS256" }).sign(encode(TEST_SECRET));
    const verdict = await createVerifier({ ...base, usernameClaims })(token);
    return verdict.ok && verdict.tokenId === "t" && verdict.username;
  };
  equal(await nameOf({ name: "Ada L", preferred_username: "ada" }), "ada");
  equal(await nameOf({ name: "Ada L", preferred_username: 7 }), "Ada L");
  equal(await nameOf({ name: " " }), undefined);
  equal(await nameOf({ name: "x", nick: "a" }, ["nick"]), "a");
});
