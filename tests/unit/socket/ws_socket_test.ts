import { deepEqual, equal } from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { SocketListener } from "../../../src/socket/engine.ts";
import {
  CONTROL_FRAMES_MAX,
  FRAMES_AFTER_CLOSE_MAX,
  IDLE_TIMEOUT_SECONDS,
} from "../../../src/socket/limits.ts";
import { PING, TextFrames } from "../../../src/socket/ws_frames.ts";
import { WsSocket } from "../../../src/socket/ws_socket.ts";
import { frame } from "../../support/frames.ts";

/** The part of an `npm:ws` WebSocket that a socket uses. */
class FakeWs extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  readonly calls: string[] = [];

  close(code: number, reason: string): void {
    this.readyState = 2;
    this.calls.push(`close ${code} ${reason}`);
  }

  terminate(): void {
    this.calls.push("terminate");
  }
}

/** A socket, with what it wrote and what its listener was called with. */
function openSocket() {
  const ws = new FakeWs();
  const writes: Uint8Array[] = [];
  const unwritten: WsSocket[] = [];
  const frames = new TextFrames();
  const events: string[] = [];
  const state = { now: 0 };
  const connection = {
    write: (bytes: Uint8Array) => void writes.push(bytes),
    pause: () => {},
  };
  const listener: SocketListener = {
    opened: () => void events.push("opened"),
    received: (data) => void events.push(`received ${data}`),
    violated: ({ reason }) => void events.push(reason),
    ended: (code, reason) => void events.push(`ended ${code} ${reason}`),
  };
  const socket = new WsSocket(
    {
      frameOf: (text) => frames.of(text),
      flushSoon: (socket) => void unwritten.push(socket),
      ended: () => {},
      now: () => state.now,
    },
    ws as unknown as WebSocket,
    connection as unknown as Duplex,
  );
  socket.listen(listener);
  return {
    ...{ socket, ws, writes, events, state },
    endTurn: () => unwritten.splice(0).forEach((socket) => socket.flush()),
  };
}

const bytesOf = (...texts: string[]) =>
  Buffer.concat(texts.map((text) => frame(text, { isMasked: false })));

Deno.test("what a socket is sent in one turn is one write", () => {
  const { socket, writes, endTurn } = openSocket();
  for (const text of ["a", "b", "c"]) socket.send(text);
  equal(socket.bufferedAmount, 9);
  equal(writes.length, 0);
  endTurn();
  socket.send("d");
  endTurn();
  endTurn();
  deepEqual(writes.map((bytes) => Buffer.from(bytes)), [
    bytesOf("a", "b", "c"),
    bytesOf("d"),
  ]);
  equal(socket.bufferedAmount, 0);
});

Deno.test("sockets that are sent one text write the same bytes, without a copy", () => {
  const { socket, writes, endTurn } = openSocket();
  socket.send("a");
  endTurn();
  socket.send("a");
  endTurn();
  equal(writes[0], writes[1]);
});

Deno.test("a close comes after what was sent before it", () => {
  const { socket, ws, writes } = openSocket();
  socket.send("a");
  socket.close(1001, "bye");
  deepEqual([writes.length, ws.calls], [1, ["close 1001 bye"]]);
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
  const { socket, ws, writes, state, endTurn } = openSocket();
  const half = IDLE_TIMEOUT_SECONDS * 500;
  for (state.now of [half - 1, half, half + 1_000]) {
    socket.checkPeer();
    endTurn();
  }
  deepEqual(writes, [PING]);
  ws.emit("pong");
  state.now += 2 * half - 1;
  socket.checkPeer();
  deepEqual(ws.calls, []);
  state.now += 1;
  socket.checkPeer();
  deepEqual(ws.calls, ["terminate"]);
});
