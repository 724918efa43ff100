/** Tokens that the server refuses because of their time, and token functions that are slow. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { CLOSE } from "../../../src/client/protocol/close.ts";
import { fakeClient, type FakePlatform } from "./fake_platform.ts";

const { code: EXPIRED } = CLOSE.tokenExpired;

/** The server refuses the newest socket's token. */
function refuse({ socket }: FakePlatform, code = EXPIRED): void {
  socket.open();
  socket.end(code, "token expired");
}

Deno.test("[P1] after a token that expired or is not valid yet, the client asks for another one", async () => {
  let calls = 0;
  const client = await fakeClient({ token: () => `t${++calls}` });
  const { platform, advance } = client;
  refuse(platform);
  equal(client.state, "reconnecting");
  await advance(1_000);
  refuse(platform);
  await advance(2_000);
  platform.socket.connect();
  deepEqual(platform.sockets.map(({ token }) => token), ["t1", "t2", "t3"]);
  equal(client.state, "connected");
});

Deno.test("[L1] the client is closed when 8 tokens in a row were refused, more than a minute after the first", async () => {
  const client = await fakeClient({ token: () => "t" });
  const { platform, advance } = client;
  const startedAt = platform.clock.now();
  for (let n = 0; client.state !== "closed"; n++) {
    ok(n < 100, "the client goes on for ever");
    refuse(platform);
    await advance(client.rollcall.connection.retryMs ?? 0);
  }
  equal(platform.sockets.length, 8);
  ok(platform.clock.now() - startedAt > 60_000);
  deepEqual(client.rollcall.connection, {
    ...{ state: "closed", code: EXPIRED, reason: "token expired" },
  });
});

Deno.test("[L1] a token that works ends the count of refused tokens", async () => {
  const client = await fakeClient({ token: () => "t" });
  const { platform, advance } = client;
  for (let n = 0; n < 20; n++) {
    if (n % 5 === 4) {
      platform.socket.connect();
      // It expires while it is used, which is no refusal.
      platform.socket.end(EXPIRED, "token expired");
    } else refuse(platform);
    await advance(30_000);
  }
  equal(client.state, "connecting");
});

Deno.test("[P1] a token that is a text stays refused, at the door and when it expires", async () => {
  const client = await fakeClient({ token: "t" });
  refuse(client.platform);
  equal(client.rollcall.connection.code, EXPIRED);
  equal(client.state, "closed");
  const later = await fakeClient({ token: "t" });
  later.platform.socket.connect();
  later.platform.socket.end(EXPIRED, "token expired");
  equal(later.state, "closed");
});

Deno.test("[P1] a token that is refused for another reason is final, also from a function", async () => {
  const client = await fakeClient({ token: () => "t" });
  refuse(client.platform, CLOSE.policy.code);
  equal(client.state, "closed");
});

/** A token function whose calls stay open until the test answers them. */
function slowTokens() {
  const calls: PromiseWithResolvers<string>[] = [];
  const token = () => {
    const call = Promise.withResolvers<string>();
    calls.push(call);
    return call.promise;
  };
  return { token, calls };
}

Deno.test("there is never more than one open call of the token function, and its answer is used whenever it comes", async () => {
  const { token, calls } = slowTokens();
  const { platform, advance, infos } = await fakeClient({ token });
  for (let n = 0; n < 5; n++) {
    await advance(5_000);
    platform.fire("pagehide", { persisted: true });
    platform.fire("pageshow", { persisted: true });
  }
  await advance(75_000);
  equal(calls.length, 1);
  calls[0]?.resolve("t1");
  await advance(0);
  deepEqual(platform.sockets.map(({ token }) => token), ["t1"]);
  platform.socket.connect();
  equal(infos.at(-1), "connected");
});

Deno.test("a refresh and a reconnect share one call of the token function", async () => {
  const { token, calls } = slowTokens();
  const { platform, advance } = await fakeClient({ token });
  calls[0]?.resolve("t1");
  await advance(0);
  platform.socket.connect();
  const message = "soon";
  platform.socket.receive({ type: "error", code: "token_expiring", message });
  platform.socket.end(1013, "overloaded");
  await advance(1_000);
  equal(calls.length, 2);
  calls[1]?.resolve("t2");
  await advance(0);
  deepEqual(platform.sockets.map(({ token }) => token), ["t1", "t2"]);
  deepEqual(platform.sockets.map(({ sent }) => sent), [[], []]);
});

Deno.test("[L1] a token function that does not answer within two minutes is called again", async () => {
  const { token, calls } = slowTokens();
  const { platform, advance, infos } = await fakeClient({ token });
  await advance(121_000);
  equal(calls.length, 2);
  calls[0]?.reject(new Error("too late"));
  calls[1]?.resolve("t2");
  await advance(0);
  equal(platform.socket.token, "t2");
  equal(infos[1], "reconnecting: cannot connect: no token within 120 s");
});

Deno.test("a refresh whose token is refused is tried again with another token", async () => {
  let calls = 0;
  const { rollcall, platform, advance } = await fakeClient({
    token: () => `t${++calls}`,
  });
  const errors: string[] = [];
  rollcall.on("error", ({ code }) => errors.push(code));
  platform.socket.connect();
  const message = "token expired";
  platform.socket.receive({ type: "error", code: "token_expiring", message });
  await advance(0);
  platform.socket.receive({ type: "error", code: "bad_token", message });
  await advance(19_000);
  deepEqual(platform.socket.sent, ["refresh"]);
  await advance(1_000);
  deepEqual(platform.socket.sent, ["refresh", "refresh"]);
  equal(calls, 3);
  deepEqual(errors, ["bad_token"]);
});
