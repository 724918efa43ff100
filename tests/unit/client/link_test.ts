/** The link: what the client does when a connection ends, stalls, or cannot be made. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { CLOSE } from "../../../src/client/protocol/close.ts";
import { until } from "../../support/until.ts";
import {
  FAST,
  startClient,
  startScriptedServer,
  state,
} from "./scripted_server.ts";

for (const { code, reconnect, meaning } of Object.values(CLOSE)) {
  const isFinal = reconnect === "no";
  Deno.test(`[S2] closed with ${code} (${meaning}) the client ${isFinal ? "stays closed" : "reconnects"}`, async () => {
    await using server = startScriptedServer(({ send, socket }, nth) => {
      if (nth === 0) socket.close(code, meaning);
      else send(state(1));
    });
    using client = startClient(server.url, { token: () => "t" });
    await client.stateIs(isFinal ? "closed" : "connected");
    equal(server.peers.length, isFinal ? 1 : 2);
    if (isFinal) equal(client.rollcall.connection.code, code);
  });
}

Deno.test("[S2] the delay before a retry doubles with each failure in a row, up to its limit", async () => {
  const times: number[] = [];
  await using server = startScriptedServer(({ send, socket }) => {
    times.push(performance.now());
    send(state(1));
    socket.close(CLOSE.goingAway.code, CLOSE.goingAway.meaning);
  });
  const timing = { ...FAST, backoffMaxMs: 500 };
  using client = startClient(server.url, {}, timing);
  await until("there were 6 connections", () => times.length >= 6);
  client.rollcall.close();
  const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
  for (const [index, gap] of gaps.entries()) {
    const least = Math.min(500, 20 * 2 ** index);
    ok(gap >= least - 5, `gap ${index} was ${gap} ms, expected ${least}`);
  }
  deepEqual(client.events, ["="]);
});

Deno.test("after a socket that fails without a close event, as on Node 22, the client retries", async () => {
  const real = globalThis.WebSocket;
  let sockets = 0;
  globalThis.WebSocket = class extends EventTarget {
    static OPEN = 1;
    readyState = 0;
    onerror: () => void = () => {};
    readonly #failing = setTimeout(() => this.onerror(), 1);
    constructor() {
      super();
      sockets += 1;
    }
    close() {
      clearTimeout(this.#failing);
    }
  } as unknown as typeof WebSocket;
  try {
    const timing = { ...FAST, connectMs: 60_000 };
    using client = startClient("ws://127.0.0.1:1/ws", {}, timing);
    await until("it tried thrice", () => sockets >= 3);
    client.rollcall.close();
    deepEqual(client.states.slice(0, 3), [
      ...["connecting", "reconnecting", "connecting"],
    ]);
  } finally {
    globalThis.WebSocket = real;
  }
});

Deno.test("if there is no server at the address, the client retries with delays", async () => {
  using client = startClient("ws://127.0.0.1:1/ws");
  await until(
    "it tried thrice",
    () => client.states.filter((state) => state === "reconnecting").length >= 3,
  );
  client.rollcall.close();
  deepEqual(client.states.slice(0, 3), [
    ...["connecting", "reconnecting", "connecting"],
  ]);
});
