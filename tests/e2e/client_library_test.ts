/** The client library with a real server: tokens whose time is wrong, a wake, and the last word. */
import { deepEqual, equal } from "node:assert/strict";
import { connect as connectLibrary } from "../../src/client/client.ts";
import type { Rollcall } from "../../src/client/client.ts";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { listed } from "../support/roster.ts";
import { sharedServer, startServerOn } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const server = sharedServer(() =>
  startServerOn(postgres.database(), { OFFLINE_GRACE_MS: "600000" })
);

/** Every socket of this file, so that a test can wait for the end of its own. */
const sockets: WebSocket[] = [];
const RealWebSocket = WebSocket;

Deno.test.beforeAll(() => {
  globalThis.WebSocket = new Proxy(RealWebSocket, {
    construct(target, args, newTarget) {
      const socket: WebSocket = Reflect.construct(target, args, newTarget);
      sockets.push(socket);
      return socket;
    },
  });
});
Deno.test.afterAll(() => void (globalThis.WebSocket = RealWebSocket));

interface LibraryClient extends AsyncDisposable {
  readonly rollcall: Rollcall;
  /** Why its connections ended. */
  readonly reasons: readonly string[];
  connected(): Promise<void>;
}

/** A client whose token function returns these tokens, the last one again and again. */
function connectWithTokens(...tokens: readonly string[]): LibraryClient {
  const reasons: string[] = [];
  let calls = 0;
  const rollcall = connectLibrary(`${server.url}ws`, {
    token: () => tokens[Math.min(calls++, tokens.length - 1)] ?? "",
  });
  rollcall.on("connection", ({ state, code, reason }) => {
    if (state === "reconnecting") reasons.push(`${code} ${reason}`);
  });
  return {
    ...{ rollcall, reasons },
    connected: async () => {
      const isConnected = () => rollcall.connection.state === "connected";
      await until("the client is connected", isConnected);
    },
    [Symbol.asyncDispose]: async () => {
      rollcall.leave();
      const isClosed = ({ readyState }: WebSocket) =>
        readyState === RealWebSocket.CLOSED;
      await until("all sockets are closed", () => sockets.every(isClosed));
    },
  };
}

Deno.test("[P1] a token function that returns an expired token once connects with the next one", async () => {
  const [expired, good] = [await tokenFor(1, -3_600), await tokenFor(1)];
  await using client = connectWithTokens(expired, good);
  await client.connected();
  deepEqual(client.reasons, ["4401 token expired"]);
});

Deno.test("[P1] a token that is not valid yet connects when its time has come", async () => {
  const nbf = Math.floor(Date.now() / 1_000) + 8;
  await using client = connectWithTokens(await tokenFor(1, 3_600, { nbf }));
  await client.connected();
  equal(client.reasons[0], "4401 token is not valid yet");
});

Deno.test("[P8] after leave a user is offline at once, and after close not before the grace is over", async () => {
  await using leaving = connectWithTokens(await tokenFor(2));
  await using closing = connectWithTokens(await tokenFor(3));
  await leaving.connected();
  await closing.connected();
  closing.rollcall.close();
  leaving.rollcall.leave();
  await listed(server, [3]);
});
