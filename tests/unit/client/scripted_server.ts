/**
 * A WebSocket server that a test scripts, and a client that records its events.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { Rollcall } from "../../../src/client/client.ts";
import { TIMING } from "../../../src/client/timing.ts";
import type { ServerMessage } from "../../../src/client/protocol/messages.ts";
import { until } from "../../support/until.ts";

/** What the server does with its nth connection, from 0. */
export type Script = (peer: Peer, nth: number) => void;

/** The server's end of one connection. */
export interface Peer {
  readonly url: URL;
  /** The subprotocols that the client offered. */
  readonly protocols: string;
  readonly socket: WebSocket;
  /** The client's messages; with `answerWatches`, the `userIds` of each `watch`. */
  readonly received: unknown[];
  /** Answers that are still delayed. The server does not stop before they are sent. */
  readonly answers: Promise<void>[];
  /** Sends messages; a string as it is. */
  send(...messages: (ServerMessage | string)[]): void;
}

export interface ScriptedServer extends AsyncDisposable {
  readonly peers: Peer[];
  readonly url: string;
}

/** @param refuses Which URLs are answered with 400 instead of an upgrade. */
export function startScriptedServer(
  script: Script,
  refuses: (url: URL) => boolean = () => false,
): ScriptedServer {
  const peers: Peer[] = [];
  const server = Deno.serve({ port: 0, onListen() {} }, (request) => {
    const url = new URL(request.url);
    if (refuses(url)) return new Response("bad watch", { status: 400 });
    const protocols = request.headers.get("sec-websocket-protocol") ?? "";
    const { socket, response } = Deno.upgradeWebSocket(request);
    response.headers.set("sec-websocket-protocol", "rollcall.v2");
    const received: unknown[] = [];
    const peer = {
      ...{ socket, received, url, protocols, answers: [] },
      send: (...messages: (ServerMessage | string)[]) => {
        for (const message of messages) {
          socket.send(
            typeof message === "string" ? message : JSON.stringify(message),
          );
        }
      },
    };
    socket.onopen = () => script(peer, peers.push(peer) - 1);
    socket.onmessage = ({ data }) => received.push(JSON.parse(data));
    socket.onerror = (event) => event.preventDefault();
    return response;
  });
  return {
    peers,
    url: `ws://127.0.0.1:${server.addr.port}/ws`,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(peers.flatMap(({ answers }) => answers));
      await server.shutdown();
    },
  };
}

/**
 * Answers each `watch` with the messages that `answer` returns. An error among them refuses the
 * watch. Without one, a `watching` comes before the last message.
 */
export function answerWatches(
  peer: Peer,
  answer: (userIds: number[] | "*", nth: number) => ServerMessage[],
): void {
  const reply = async (data: string) => {
    const { userIds, ref } = JSON.parse(data);
    const messages = answer(userIds, peer.received.push(userIds) - 1);
    // As over a network: more watches may arrive before the answer.
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (peer.socket.readyState !== WebSocket.OPEN) return;
    const isRefused = messages.some(({ type }) => type === "error");
    for (const [index, message] of messages.entries()) {
      if (message.type === "error") peer.send({ ...message, ref });
      else {
        const isLast = index === messages.length - 1;
        if (isLast && !isRefused) peer.send({ type: "watching", ref });
        peer.send(message);
      }
    }
  };
  peer.socket.onmessage = ({ data }) => void peer.answers.push(reply(data));
}

/** Short delays and no jitter. The timeouts are long, so that a busy machine triggers none. */
export const FAST = {
  ...TIMING,
  backoffFirstMs: 20,
  backoffMaxMs: 80,
  refreshRetryMs: 50,
  random: () => 1,
};

type Options = Partial<ConstructorParameters<typeof Rollcall>[1]>;

export interface RecordedClient extends Disposable {
  readonly rollcall: Rollcall;
  /** `+id` for online, `-id` for offline, `=ids` for state, and the codes of errors. */
  readonly events: string[];
  /** The states of the connection, in order. */
  readonly states: string[];
  /** Resolves when the events so far are exactly these. */
  eventsAre(...expected: string[]): Promise<void>;
  /** Resolves when the connection is in this state. */
  stateIs(state: string): Promise<void>;
}

/** A client that records its events. Disposing of it closes the client. */
export function startClient(
  url: string,
  options: Options = {},
  timing = FAST,
): RecordedClient {
  const rollcall = new Rollcall(url, { token: "t", ...options }, timing);
  const events: string[] = [];
  const states: string[] = [];
  rollcall.on("online", ({ user }) => events.push(`+${user.id}`));
  rollcall.on("offline", ({ user }) => events.push(`-${user.id}`));
  rollcall.on("state", (users) => events.push(`=${[...users.keys()]}`));
  rollcall.on("error", ({ code }) => events.push(code));
  rollcall.on("connection", ({ state }) => states.push(state));
  return {
    ...{ rollcall, events, states },
    eventsAre: async (...expected) => {
      const areReached = () => events.join(" ") === expected.join(" ");
      await until(`the events are ${expected}`, areReached)
        .catch(() => deepEqual(events, expected));
    },
    stateIs: async (state) => {
      const isReached = () => rollcall.connection.state === state;
      await until(`the connection is ${state}`, isReached);
    },
    [Symbol.dispose]: () => rollcall.close(),
  };
}

const usersOf = (ids: number[]) =>
  ids.map((id) => ({ id, username: `user${id}` }));

/** A `presence_state` with these users. */
export const state = (seq: number, ...ids: number[]): ServerMessage => ({
  ...{ type: "presence_state", seq, users: usersOf(ids) },
});

/** A `presence_diff` with these users. */
export const diff = (
  seq: number,
  online: number[],
  offline: number[] = [],
): ServerMessage => ({
  ...{ type: "presence_diff", seq, online: usersOf(online), offline },
});

/** The error for a watch set with too many users. */
export const TOO_LARGE: ServerMessage = {
  ...{ type: "error", code: "watch_too_large", message: "too many" },
};

/** A `presence_count`. */
export const count = (seq: number, online: number): ServerMessage => ({
  ...{ type: "presence_count", seq, online },
});
