import { deepEqual, equal } from "node:assert/strict";
import {
  CONTROL_FRAMES_MAX,
  FRAMES_AFTER_CLOSE_MAX,
  IDLE_TIMEOUT_SECONDS,
} from "../../../src/socket/limits.ts";
import { PING } from "../../../src/socket/ws_frames.ts";
import { FakeWsEngine } from "../../support/fake_ws.ts";
import { frame } from "../../support/frames.ts";

/** A socket, with what it wrote and what its listener was called with. */
function openSocket() {
  const engine = new FakeWsEngine();
  const events: string[] = [];
  const { socket, ws } = engine.open();
  socket.listen({
    opened: () => void events.push("opened"),
    received: (data) => void events.push(`received ${data}`),
    violated: ({ reason }) => void events.push(reason),
    ended: (code, reason) => void events.push(`ended ${code} ${reason}`),
  });
  return { engine, socket, ws, events };
}

const bytesOf = (...texts: string[]) =>
  Buffer.concat(texts.map((text) => frame(text, { isMasked: false })));

Deno.test("what a socket is sent in one turn is one write", () => {
  const { socket, engine } = openSocket();
  for (const text of ["a", "b", "c"]) socket.send(text);
  equal(socket.bufferedAmount, 9);
  equal(engine.writes.length, 0);
  engine.endTurn();
  socket.send("d");
  engine.endTurn();
  engine.endTurn();
  deepEqual(engine.writes.map((bytes) => Buffer.from(bytes)), [
    bytesOf("a", "b", "c"),
    bytesOf("d"),
  ]);
  equal(socket.bufferedAmount, 0);
});

Deno.test("sockets that are sent one text write the same bytes, without a copy", () => {
  const { socket, engine } = openSocket();
  socket.send("a");
  engine.endTurn();
  socket.send("a");
  engine.endTurn();
  equal(engine.writes[0], engine.writes[1]);
});

Deno.test("a close comes after what was sent before it", () => {
  const { socket, ws, engine } = openSocket();
  socket.send("a");
  socket.close(1001, "bye");
  deepEqual([engine.writes.length, ws.calls], [1, ["close 1001 bye"]]);
  socket.send("b");
  equal(socket.bufferedAmount, 0);
});

Deno.test("[L1] a peer that sends too many pings and pongs is disconnected", () => {
  const { ws, events } = openSocket();
  for (let n = 0; n < CONTROL_FRAMES_MAX; n++) {
    ws.emit(n % 2 === 0 ? "ping" : "pong");
  }
  deepEqual(events, ["opened"]);
  ws.emit("ping");
  deepEqual(events, ["opened", "too many messages"]);
});

Deno.test("[L1] a peer that goes on sending after the close is terminated", () => {
  const { socket, ws, events } = openSocket();
  socket.close(1008, "too many messages");
  for (let n = 0; n < FRAMES_AFTER_CLOSE_MAX; n++) {
    ws.emit("message", Buffer.from("hi"), false);
  }
  deepEqual(ws.calls.slice(1), []);
  ws.emit("message", Buffer.from("hi"), false);
  deepEqual([ws.calls.slice(1), events], [["terminate"], ["opened"]]);
});

Deno.test("[L1] a silent peer is pinged once, and terminated if it does not answer", () => {
  const { socket, ws, engine } = openSocket();
  const half = IDLE_TIMEOUT_SECONDS * 500;
  for (engine.nowMs of [half - 1, half, half + 1_000]) {
    socket.checkPeer();
    engine.endTurn();
  }
  deepEqual(engine.writes, [PING]);
  ws.emit("pong");
  engine.nowMs += 2 * half - 1;
  socket.checkPeer();
  deepEqual(ws.calls, []);
  engine.nowMs += 1;
  socket.checkPeer();
  deepEqual(ws.calls, ["terminate"]);
});
