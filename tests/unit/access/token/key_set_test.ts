import { equal, rejects } from "node:assert/strict";
import { errors, exportJWK, generateKeyPair, jwtVerify, SignJWT } from "jose";
import {
  KeySetFault,
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
  let asked = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => {
      asked += 1;
      return isUp
        ? Response.json({ keys: set, padding })
        : new Response("this is no key set");
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
    swell: () => padding = "x".repeat(KEY_SET_BYTES_MAX),
    get asked() {
      return asked;
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** The time of day, which jose asks the system for. */
function playDate() {
  const realNow = Date.now;
  let now = realNow();
  Date.now = () => now;
  return {
    pass: (ms: number) => now += ms,
    [Symbol.dispose]: () => void (Date.now = realNow),
  };
}

Deno.test("the last good keys are used while the issuer is down, and it is not asked all the time", async () => {
  await using it = await issuer();
  using date = playDate();
  const keys = remoteKeySet(it.url);
  const token = await it.sign("k1");
  await jwtVerify(token, keys);
  equal(it.asked, 1);
  it.goDown();
  date.pass(KEY_SET_AGE_MS_MAX + 1);
  for (let n = 0; n < 5; n++) await jwtVerify(token, keys);
  equal(it.asked, 2);
  date.pass(KEY_SET_PAUSE_MS + 1);
  await jwtVerify(token, keys);
  equal(it.asked, 3);
  it.goUp();
  date.pass(KEY_SET_PAUSE_MS + 1);
  await jwtVerify(token, keys);
  equal(it.asked, 4);
});

Deno.test("[L1] unknown key ids make the issuer asked at a bounded rate, and only a fresh answer is held against them", async () => {
  await using it = await issuer();
  using date = playDate();
  const keys = remoteKeySet(it.url);
  await jwtVerify(await it.sign("k1"), keys);
  for (let n = 0; n < 20; n++) {
    const verified = jwtVerify(await it.sign(`k${n + 2}`), keys);
    await rejects(verified, KeySetFault);
  }
  equal(it.asked, 1);
  date.pass(KEY_SET_COOLDOWN_MS + 1);
  await rejects(
    jwtVerify(await it.sign("k2"), keys),
    errors.JWKSNoMatchingKey,
  );
  equal(it.asked, 2);
});

Deno.test("while the issuer is away, a key that it never told of may be a new one", async () => {
  await using it = await issuer();
  using date = playDate();
  const keys = remoteKeySet(it.url);
  await jwtVerify(await it.sign("k1"), keys);
  it.goDown();
  date.pass(KEY_SET_COOLDOWN_MS + 1);
  for (let n = 0; n < 3; n++) {
    await rejects(jwtVerify(await it.sign("k2"), keys), KeySetFault);
    await jwtVerify(await it.sign("k1"), keys);
  }
  equal(it.asked, 2);
});

Deno.test("a key that is of no use is held against its tokens, and not against the issuer", async () => {
  await using it = await issuer();
  it.add({ kty: "OKP", crv: "Ed25519", kid: "broken", x: "AAAA" });
  const keys = remoteKeySet(it.url);
  for (let n = 0; n < 3; n++) {
    const verified = jwtVerify(await it.sign("broken"), keys);
    await rejects(verified, (err) => !(err instanceof KeySetFault));
  }
  await jwtVerify(await it.sign("k1"), keys);
  equal(it.asked, 1);
});

Deno.test("[L1] an issuer that was never reached is a fault, and is asked at a bounded rate", async () => {
  await using it = await issuer();
  it.goDown();
  let now = 0;
  const keys = remoteKeySet(it.url, () => now);
  const token = await it.sign("k1");
  for (let n = 0; n < 5; n++) await rejects(jwtVerify(token, keys));
  equal(it.asked, 1);
  it.goUp();
  now = KEY_SET_FIRST_PAUSE_MS;
  await jwtVerify(token, keys);
  equal(it.asked, 2);
});

Deno.test("[L1] a key set has a size, and a larger one is a fault", async () => {
  await using it = await issuer();
  it.swell();
  const faulty = jwtVerify(await it.sign("k1"), remoteKeySet(it.url));
  await rejects(faulty, /the key set has more than 1048576 bytes/);
});
