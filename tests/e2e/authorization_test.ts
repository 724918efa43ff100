/** Authorization: the time between an open socket and its connection, which may be long. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import pg from "pg";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { AUTHORIZATION_MS } from "../../src/access/limits.ts";
import { KEY_SET_FIRST_PAUSE_MS } from "../../src/access/token/limits.ts";
import { connectWith, socketUrl } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { servedDescriptors } from "../support/process.ts";
import { startProxy } from "../support/proxy.ts";
import { rawHandshake } from "../support/raw_socket.ts";
import { listed } from "../support/roster.ts";
import { startServer, startServerOn } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const LEAVING = 60;

/**
 * A server whose issuer refuses the request at the start, and then answers no request until the
 * test says so.
 */
async function serverWithHeldIssuer() {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const keys = [{ ...await exportJWK(publicKey), alg: "ES256", kid: "k" }];
  const gate = Promise.withResolvers<void>();
  let requests = 0;
  const issuer = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async () => {
      requests += 1;
      if (requests === 1) return new Response(null, { status: 503 });
      await gate.promise;
      return Response.json({ keys });
    },
  );
  const server = await startServer({
    env: {
      DATABASE_URL: await postgres.database(),
      JWT_JWKS_URL: `http://127.0.0.1:${issuer.addr.port}/keys`,
      ROSTER_ACCESS: "public",
      MAX_CONNECTIONS_PER_USER: "1",
    },
  });
  await until(
    "the issuer has refused",
    () => server.log.some((line) => line.includes("cannot verify tokens")),
  );
  await new Promise((resolve) => setTimeout(resolve, KEY_SET_FIRST_PAUSE_MS));
  return {
    server,
    isAsked: () => requests > 1,
    answer: () => gate.resolve(),
    tokenFor: (userId: number) =>
      new SignJWT({ sub: String(userId) })
        .setProtectedHeader({ alg: "ES256", kid: "k" })
        .setExpirationTime("1h").sign(privateKey),
    [Symbol.asyncDispose]: async () => {
      gate.resolve();
      await server[Symbol.asyncDispose]();
      await issuer.shutdown();
    },
  };
}

Deno.test("[L1] a peer that leaves while its token is verified leaves no descriptor and no user behind", async () => {
  await using held = await serverWithHeldIssuer();
  const { server } = held;
  const token = await held.tokenFor(1);
  const headers = { "Sec-WebSocket-Protocol": `rollcall.v1, bearer.${token}` };
  const before = servedDescriptors(server.pid);
  for (let n = 0; n < LEAVING; n++) {
    const wait = n % 2 === 0 ? "answer" : "no answer";
    using _leaving = await rawHandshake(server.url, headers, wait);
  }
  await until("the issuer is asked", held.isAsked);
  held.answer();
  await until(
    "the descriptors are back",
    () => servedDescriptors(server.pid) <= before,
  );
  await listed(server, []);
  // The user may have one socket, so this one connects only if all slots are released.
  const url = socketUrl(server.url, token);
  await using again = await connectWith(new WebSocket(url));
  await using bob = await connectSync(server.url, 2, {
    token: await held.tokenFor(2),
  });
  await bob.holds([1, 2]);
  equal(again.socket.readyState, WebSocket.OPEN);
});

Deno.test("messages that a client sends before it is authorized are handled afterwards, within the same limits", async () => {
  await using held = await serverWithHeldIssuer();
  const { server } = held;
  await using ada = await connectSync(server.url, 1, {
    token: await held.tokenFor(1),
  });
  await using bob = await connectSync(server.url, 2, {
    token: await held.tokenFor(2),
  });
  await using loud = await connectSync(server.url, 3, {
    token: await held.tokenFor(3),
  });
  await using large = await connectSync(server.url, 4, {
    token: await held.tokenFor(4),
  });
  const all = [ada, bob, loud, large];
  await until(
    "all are open",
    () => all.every(({ socket }) => socket.readyState === WebSocket.OPEN),
  );
  ada.send({ type: "watch", userIds: [1, 3] });
  bob.send({ type: "nonsense" });
  for (let n = 0; n < 30; n++) loud.send({ type: "watch", userIds: [] });
  large.socket.send("x".repeat(70_000));
  equal((await loud.closed).code, 1008);
  equal((await large.closed).code, 1009);
  equal(ada.messages.length + bob.messages.length, 0);
  held.answer();
  await ada.holds([1]);
  await bob.holds([1, 2]);
  match(
    (await bob.receives("error")).message,
    /expected "watch", "refresh" or "ping"/,
  );
  await listed(server, [1, 2]);
});

Deno.test("a client that resumes from changes that the node cannot read is closed with 1013", async () => {
  await using proxy = startProxy(await postgres.database());
  await using server = await startServerOn(proxy.url);
  await using ada = await connectSync(server.url, 1);
  await ada.holds([1]);
  proxy.set("refusing");
  await using ahead = await connectSync(server.url, 2, {
    since: ada.model.seq + 5,
    known: [1],
  });
  deepEqual(await ahead.closed, {
    code: 1013,
    reason: "node has not caught up with since, try again",
  });
});

Deno.test("[L1] a socket whose authorization takes too long is closed with 1013", async () => {
  const url = await postgres.database();
  await using server = await startServerOn(url);
  await using ada = await connectSync(server.url, 1);
  await ada.holds([1]);
  const other = new pg.Client(url);
  await other.connect();
  await other.query(
    "begin; lock table rollcall_internal.feed in access exclusive mode",
  );
  const startedAt = performance.now();
  const ahead = { since: ada.model.seq + 5, known: [1] };
  await using bob = await connectSync(server.url, 2, ahead);
  deepEqual(await bob.closed, {
    code: 1013,
    reason: "authentication timed out, try again",
  });
  ok(performance.now() - startedAt > AUTHORIZATION_MS - 500);
  await other.end();
  await using again = await connectSync(server.url, 2);
  await again.holds([1, 2]);
});

Deno.test("a server whose key set is a discovery document warns at its start, and says what to set", async () => {
  const document = { issuer: "me", jwks_uri: "https://issuer.example/keys" };
  await using issuer = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => Response.json(document),
  );
  const url = `http://127.0.0.1:${issuer.addr.port}/openid-configuration`;
  await using server = await startServer({
    env: { DATABASE_URL: await postgres.database(), JWT_JWKS_URL: url },
  });
  const warning = await until(
    "the server warns",
    () =>
      server.log.map((line) => JSON.parse(line))
        .find(({ msg }) => msg === "cannot verify tokens"),
  );
  deepEqual([warning.level, warning.reason], [
    "warn",
    `${url} is a discovery document, not a key set: set JWT_JWKS_URL=${document.jwks_uri}`,
  ]);
});
