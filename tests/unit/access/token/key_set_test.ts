import { equal, match, ok, rejects } from "node:assert/strict";
import { errors, exportJWK, generateKeyPair, jwtVerify, SignJWT } from "jose";
import { fetchKeySet } from "../../../../src/access/token/fetch_key_set.ts";
import {
  KeySetUnavailable,
  KeyUnknown,
  remoteKeySet,
} from "../../../../src/access/token/key_set.ts";
import {
  KEY_SET_AGE_MS_MAX,
  KEY_SET_ANSWER_MS,
  KEY_SET_BYTES_MAX,
  KEY_SET_COOLDOWN_MS,
  KEY_SET_FIRST_PAUSE_MS,
  KEY_SET_PAUSE_MS,
} from "../../../../src/access/token/limits.ts";
import { messageOf } from "../../../../src/base/message_of.ts";

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

/** A port on which nothing listens. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
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
  const { find: keys } = remoteKeySet(it.url);
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
  const { find: keys } = remoteKeySet(it.url);
  await jwtVerify(await it.sign("k1"), keys);
  for (let n = 0; n < 20; n++) {
    const verified = jwtVerify(await it.sign(`k${n + 2}`), keys);
    await rejects(verified, KeyUnknown);
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
  const { find: keys } = remoteKeySet(it.url);
  await jwtVerify(await it.sign("k1"), keys);
  it.goDown();
  date.advance(KEY_SET_COOLDOWN_MS + 1);
  for (let n = 0; n < 3; n++) {
    await rejects(jwtVerify(await it.sign("k2"), keys), KeyUnknown);
    await jwtVerify(await it.sign("k1"), keys);
  }
  equal(it.fetches, 2);
});

Deno.test("an unusable key is the fault of its tokens, not of the issuer", async () => {
  await using it = await issuer();
  it.add({ kty: "OKP", crv: "Ed25519", kid: "broken", x: "AAAA" });
  const { find: keys } = remoteKeySet(it.url);
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
  const { find: keys } = remoteKeySet(it.url, undefined, () => now);
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
  const verified = jwtVerify(await it.sign("k1"), remoteKeySet(it.url).find);
  await rejects(verified, /the answer has more than 1048576 bytes/);
});

Deno.test("a key set that was fetched at the start is not fetched again for the first token", async () => {
  await using it = await issuer();
  const keySet = remoteKeySet(it.url);
  await keySet.fetch();
  await jwtVerify(await it.sign("k1"), keySet.find);
  equal(it.fetches, 1);
  // Its keys are used while the issuer is down.
  using date = fakeDate();
  it.goDown();
  date.advance(KEY_SET_AGE_MS_MAX + 1);
  await jwtVerify(await it.sign("k1"), keySet.find);
  equal(it.fetches, 2);
});

Deno.test("[L1] a key set that could not be fetched at the start is fetched again after a pause", async () => {
  await using it = await issuer();
  it.goDown();
  let now = 0;
  const keySet = remoteKeySet(it.url, undefined, () => now);
  await rejects(keySet.fetch(), KeySetUnavailable);
  it.goUp();
  const token = await it.sign("k1");
  await rejects(jwtVerify(token, keySet.find), KeySetUnavailable);
  equal(it.fetches, 1);
  now = KEY_SET_FIRST_PAUSE_MS;
  await jwtVerify(token, keySet.find);
  equal(it.fetches, 2);
});

const JWKS_URI = "https://issuer.example/keys?v=1";
const answers: Record<string, { answer: () => Response; message: RegExp }> = {
  "another status": {
    answer: () => new Response(null, { status: 404 }),
    message: /^cannot fetch the key set URL: the answer has status 404$/,
  },
  "a redirect": {
    answer: () =>
      new Response(null, {
        status: 302,
        headers: { location: "/login?from=jwks" },
      }),
    message:
      /^cannot fetch the key set URL: the answer is a redirect to http:\S+\/login$/,
  },
  "no JSON": {
    answer: () => new Response("<html>"),
    message: /^cannot fetch the key set URL: Unexpected token/,
  },
  "JSON without keys": {
    answer: () => Response.json({ error: "who are you?" }),
    message:
      /^URL is not a key set: expected a JSON object with an array "keys"$/,
  },
  "keys that are no objects": {
    answer: () => Response.json({ keys: ["k1"] }),
    message: /^URL is not a key set/,
  },
  "a discovery document": {
    answer: () => Response.json({ issuer: "me", jwks_uri: JWKS_URI }),
    message:
      /^URL is a discovery document, not a key set: set JWT_JWKS_URL=https:\/\/issuer\.example\/keys\?v=1$/,
  },
};

/** The error of a key set, in which the URL without its secrets is `URL`. */
async function faultOf(url: URL): Promise<string> {
  const fault = await remoteKeySet(url).fetch().catch((err) => err);
  ok(fault instanceof KeySetUnavailable);
  return messageOf(fault).replace(url.origin + url.pathname, "URL");
}

for (const [name, { answer, message }] of Object.entries(answers)) {
  Deno.test(`an issuer that answers with ${name} is an error that says so, and names the URL without secrets`, async () => {
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      answer,
    );
    const { port } = server.addr;
    const url = new URL(`http://127.0.0.1:${port}/jwks?apikey=s3cret`);
    const fault = await faultOf(url);
    match(fault, message);
    ok(!fault.includes("s3cret"));
  });
}

Deno.test("an issuer that cannot be reached is an error that names the URL and the cause", async () => {
  const port = freePort();
  const url = new URL(`http://127.0.0.1:${port}/jwks?apikey=s3cret`);
  const fault = await faultOf(url);
  match(
    fault,
    /^cannot fetch the key set URL: client error \(Connect\): .*[Cc]onnection refused/,
  );
  ok(!fault.includes("s3cret"));
});

Deno.test("an issuer that does not answer is an error that says for how long", async () => {
  const gate = Promise.withResolvers<Response>();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => gate.promise,
  );
  const url = new URL(`http://127.0.0.1:${server.addr.port}/jwks`);
  const signal = AbortSignal.timeout(10);
  await rejects(fetchKeySet(url, { signal }), {
    message:
      `cannot fetch the key set ${url}: no answer within ${KEY_SET_ANSWER_MS} ms`,
  });
  gate.resolve(new Response());
});
