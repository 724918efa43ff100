/** Tokens: when the client asks for one, and what happens if there is none. */
import { deepEqual, equal } from "node:assert/strict";
import { CLOSE } from "../../../src/client/protocol/close.ts";
import type { ServerMessage } from "../../../src/client/protocol/messages.ts";
import { until } from "../../support/until.ts";
import { startClient, startScriptedServer, state } from "./scripted_server.ts";

const EXPIRING: ServerMessage = {
  ...{ type: "error", code: "token_expiring", message: "soon" },
};

Deno.test("the token function is called for each connection, and again after it threw", async () => {
  await using server = startScriptedServer(({ send, socket }, nth) => {
    if (nth === 0) socket.close(CLOSE.tokenExpired.code);
    else send(state(1));
  });
  let calls = 0;
  const token = () => {
    calls += 1;
    if (calls === 2) throw new Error("no token today");
    return Promise.resolve(`t${calls}`);
  };
  using client = startClient(server.url, { token });
  await client.stateIs("connected");
  deepEqual(server.peers.map(({ protocols }) => protocols), [
    "rollcall.v2, bearer.t1",
    "rollcall.v2, bearer.t3",
  ]);
});

Deno.test("a token that expires soon is refreshed over the same connection", async () => {
  await using server = startScriptedServer(({ send }) =>
    send(state(1), EXPIRING)
  );
  let calls = 0;
  using client = startClient(server.url, { token: () => `t${++calls}` });
  await until("it refreshed", () => server.peers[0]?.received.length === 1);
  deepEqual(server.peers[0]?.received, [{ type: "refresh", token: "t2" }]);
  equal(server.peers.length, 1);
  deepEqual(client.events, ["="]);
});

Deno.test("if the token function fails during a refresh, there is an error event and another call", async () => {
  await using server = startScriptedServer(({ send }) =>
    send(state(1), EXPIRING)
  );
  let calls = 0;
  const token = () => {
    calls += 1;
    if (calls === 2) throw new Error("the issuer is down");
    return `t${calls}`;
  };
  using client = startClient(server.url, { token });
  await until("it refreshed", () => server.peers[0]?.received.length === 1);
  deepEqual(server.peers[0]?.received, [{ type: "refresh", token: "t3" }]);
  deepEqual(client.events, ["=", "token_expiring"]);
});

Deno.test("white space around a token is no part of it, also in a refresh", async () => {
  await using server = startScriptedServer(({ send }) =>
    send(state(1), EXPIRING)
  );
  let calls = 0;
  using _client = startClient(server.url, { token: () => ` t${++calls}\r\n` });
  await until("it refreshed", () => server.peers[0]?.received.length === 1);
  equal(server.peers[0]?.protocols, "rollcall.v2, bearer.t1");
  deepEqual(server.peers[0]?.received, [{ type: "refresh", token: "t2" }]);
});

Deno.test("a value that cannot be a JWT closes the client, and no message contains it", async () => {
  await using server = startScriptedServer(() => {});
  for (
    const [token, got] of [
      ["se cret", "text that is no JWT"],
      ["bearer se.cr.et", "text with Bearer before it"],
      [" \n", "an empty text"],
      [undefined, "undefined"],
      [null, "null"],
      [5, "a number"],
      [{ token: "secret" }, "an object"],
    ]
  ) {
    using client = startClient(server.url, { token: () => token as string });
    await client.stateIs("closed");
    deepEqual(client.rollcall.connection, {
      ...{ state: "closed", code: 1008 },
      reason: `expected a JWT as the token, got ${got}`,
    });
  }
  equal(server.peers.length, 0);
});
