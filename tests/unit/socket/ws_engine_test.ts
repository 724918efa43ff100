import { deepEqual, equal } from "node:assert/strict";
import { systemClock } from "../../../src/base/clock.ts";
import { NodeServer } from "../../../src/http/node_server.ts";
import { CLIENT_MESSAGE_BYTES_MAX } from "../../../src/socket/limits.ts";
import { WsEngine } from "../../../src/socket/ws_engine.ts";
import { rememberingLog } from "../../support/fakes.ts";
import { frame } from "../../support/frames.ts";
import { rawHandshake } from "../../support/raw_socket.ts";
import { until } from "../../support/until.ts";

/** The payload of the smallest segments that TCP commonly has. */
const SEGMENT_BYTES = 536;

/** A server whose sockets record what they are called with. */
async function listen() {
  const engine = new WsEngine(systemClock);
  const events: string[] = [];
  const server = await NodeServer.listen({
    ...{ host: "127.0.0.1", port: 0, reusePort: false },
    ...{ clock: systemClock, log: rememberingLog() },
    handle: (request) => {
      const upgraded = engine.upgrade(request, undefined);
      upgraded?.socket.listen({
        opened: () => {},
        received: (data) =>
          void events.push(`${Buffer.byteLength(data as string)} bytes`),
        violated: ({ code }) => void events.push(`violated ${code}`),
        ended: (code) => void events.push(`ended ${code}`),
      });
      return Promise.resolve(upgraded?.response ?? new Response());
    },
  });
  return {
    ...{ events, url: server.url },
    [Symbol.asyncDispose]: async () => {
      await engine.stop();
      await server.stop();
    },
  };
}

Deno.test("the largest message may arrive in small segments", async () => {
  await using server = await listen();
  using raw = await rawHandshake(server.url);
  raw.conn.setNoDelay();
  const bytes = frame("x".repeat(CLIENT_MESSAGE_BYTES_MAX));
  for (let at = 0; at < bytes.length; at += SEGMENT_BYTES) {
    await raw.conn.write(bytes.subarray(at, at + SEGMENT_BYTES));
    // A pause, so that the server reads most segments alone.
    await systemClock.sleep(1);
  }
  await until("the message has arrived", () => server.events.length > 0);
  deepEqual(server.events, [`${CLIENT_MESSAGE_BYTES_MAX} bytes`]);
});

Deno.test("a socket that breaks the protocol counts with the code of its close frame", async () => {
  await using server = await listen();
  const attacks = [
    { bytes: frame("hi", { isMasked: false }), code: 1002 },
    { bytes: frame(Uint8Array.of(0xff)), code: 1007 },
    { bytes: frame("", { length: CLIENT_MESSAGE_BYTES_MAX + 1 }), code: 1009 },
  ];
  for (const { bytes, code } of attacks) {
    server.events.length = 0;
    using raw = await rawHandshake(server.url);
    await raw.conn.write(bytes);
    const answer = new Uint8Array(4);
    await raw.conn.read(answer);
    equal(new DataView(answer.buffer).getUint16(2), code);
    deepEqual(server.events, [`violated ${code}`]);
  }
});
