import { equal, rejects } from "node:assert/strict";
import { errors, exportJWK, generateKeyPair, jwtVerify, SignJWT } from "jose";
import {
  KeySetUnavailable,
  remoteKeySet,
} from "../../../../src/access/token/key_set.ts";
import {
  KEY_SET_AGE_MS_MAX,
  KEY_SET_BYTES_MAX,
  KEY_SET_COOLDOWN_MS,
  KEY_SET_FIRST_PAUSE_MS,
  KEY_SET_PAUSE_MS,
} from "../../../../src/access/token/limits.ts";

async function issuer() {
  const { publicKey, privateKey } = await generateKeyPair("EdDSA", {
    extractable: true,
  });
  const jwk = { ...await exportJWK(publicKey), kid: "k1", alg: "EdDSA" };
  const set: unknown[] = [jwk];
  let isUp = true;
  let padding = "";
  let fetches = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => {
      fetches += 1;
      return isUp
        ? Response.json({ keys: set, padding })
        : new Response("not a key set");
    },
  );
  return {
    url: new URL(`http://127.0.0.1:${server.addr.port}/jwks`),
    sign: (kid: string) =>
      new SignJWT({}).setProtectedHeader({ alg: "EdDSA", kid })
        .sign(privateKey),
    goDown: () => isUp = false,
    goUp: () => isUp = true,
    add: (key: unknown) => set.push(key),
    grow: () => padding = "x".repeat(KEY_SET_BYTES_MAX),
    get fetches() {
      return fetches;
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Replaces the system's time of day, which jose reads. */
function fakeDate() {
  const realNow = Date.now;
  let now = realNow();
  Date.now = () => now;
  return {
    advance: (ms: number) => now += ms,
    [Symbol.dispose]: () => void (Date.now = realNow),
  };
}

Deno.test("while the issuer is down, the last good keys are used and fetches have a limited rate", async () => {
  await using it = await issuer();
  using date = fakeDate();
  const keys = remoteKeySet(it.url);
  const token = await it.sign("k1");
  await jwtVerify(token, keys);
  equal(it.fetches, 1);
  it.goDown();
  date.advance(KEY_SET_AGE_MS_MAX + 1);
  for (let n = 0; n < 5; n++) await jwtVerify(token, keys);
  equal(it.fetches, 2);
  date.advance(KEY_SET_PAUSE_MS + 1);
  await jwtVerify(token, keys);
  equal(it.fetches, 3);
  it.goUp();
  date.advance(KEY_SET_PAUSE_MS + 1);
  await jwtVerify(token, keys);
  equal(it.fetches, 4);
});

Deno.test("[L1] unknown key ids cause fetches at a limited rate, and are refused only after a fresh fetch", async () => {
  await using it = await issuer();
  using date = fakeDate();
  const keys = remoteKeySet(it.url);
  await jwtVerify(await it.sign("k1"), keys);
  for (let n = 0; n < 20; n++) {
    const verified = jwtVerify(await it.sign(`k${n + 2}`), keys);
    await rejects(verified, KeySetUnavailable);
  }
  equal(it.fetches, 1);
  date.advance(KEY_SET_COOLDOWN_MS + 1);
  await rejects(
    jwtVerify(await it.sign("k2"), keys),
    errors.JWKSNoMatchingKey,
  );
  equal(it.fetches, 2);
});

Deno.test("while the issuer is down, an unknown key may be a new one, so its token is not refused", async () => {
  await using it = await issuer();
  using date = fakeDate();
  const keys = remoteKeySet(it.url);
  await jwtVerify(await it.sign("k1"), keys);
  it.goDown();
  date.advance(KEY_SET_COOLDOWN_MS + 1);
  for (let n = 0; n < 3; n++) {
    await rejects(jwtVerify(await it.sign("k2"), keys), KeySetUnavailable);
    await jwtVerify(await it.sign("k1"), keys);
  }
  equal(it.fetches, 2);
});

Deno.test("an unusable key is the fault of its tokens, not of the issuer", async () => {
  await using it = await issuer();
  it.add({ kty: "OKP", crv: "Ed25519", kid: "broken", x: "AAAA" });
  const keys = remoteKeySet(it.url);
  for (let n = 0; n < 3; n++) {
    const verified = jwtVerify(await it.sign("broken"), keys);
    await rejects(verified, (err) => !(err instanceof KeySetUnavailable));
  }
  await jwtVerify(await it.sign("k1"), keys);
  equal(it.fetches, 1);
});

Deno.test("[L1] an issuer that was never reached is an error, and is fetched at a limited rate", async () => {
  await using it = await issuer();
  it.goDown();
  let now = 0;
  const keys = remoteKeySet(it.url, () => now);
  const token = await it.sign("k1");
  for (let n = 0; n < 5; n++) await rejects(jwtVerify(token, keys));
  equal(it.fetches, 1);
  it.goUp();
  now = KEY_SET_FIRST_PAUSE_MS;
  await jwtVerify(token, keys);
  equal(it.fetches, 2);
});

Deno.test("[L1] a key set that is larger than KEY_SET_BYTES_MAX is an error", async () => {
  await using it = await issuer();
  it.grow();
  const verified = jwtVerify(await it.sign("k1"), remoteKeySet(it.url));
  await rejects(verified, /the key set has more than 1048576 bytes/);
});
