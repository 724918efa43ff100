import { deepEqual, equal } from "node:assert/strict";
import { Admission } from "../../../src/access/admission.ts";
import type { Authorization } from "../../../src/access/authorize.ts";
import { Deadlines } from "../../../src/base/deadlines.ts";
import { type Metrics, noMetrics } from "../../../src/base/metrics.ts";
import { Connections } from "../../../src/core/connections/connections.ts";
import { Hub } from "../../../src/core/connections/hub.ts";
import { Roster } from "../../../src/core/roster/roster.ts";
import { DISCONNECT } from "../../../src/client/protocol/disconnect.ts";
import { INTEGER_IDS } from "../../../src/client/protocol/user_id.ts";
import type {
  EngineSocket,
  SocketListener,
} from "../../../src/socket/engine.ts";
import { CLOSE_DELAY_MS, HANDSHAKE_MS } from "../../../src/socket/limits.ts";
import { SocketSession } from "../../../src/socket/session.ts";
import { fakeTimers } from "../../support/fake_timers.ts";
import {
  rememberingLog,
  unlimited,
  WITHOUT_GROUPS,
} from "../../support/fakes.ts";

/** A socket whose events the test fires. */
class FakeEngineSocket implements EngineSocket {
  readonly isOpen = true;
  readonly bufferedAmount = 0;
  readonly closes: string[] = [];
  #listener: SocketListener | undefined;

  listen(listener: SocketListener): void {
    this.#listener = listener;
  }

  send(): void {}

  close(code: number, reason: string): void {
    this.closes.push(`${code} ${reason}`);
  }

  open(): void {
    this.#listener?.opened();
  }

  receive(data: string): void {
    this.#listener?.received(data);
  }

  end(code: number, reason = ""): void {
    this.#listener?.ended(code, reason);
  }
}

/** A session of user 1, whose authorization the test decides. */
function session(
  version: 1 | 2 = 2,
  watch: "*" | "full" = "*",
  now?: () => number,
) {
  const socket = new FakeEngineSocket();
  const authorization = Promise.withResolvers<Authorization>();
  const hub = new Hub();
  const admission = new Admission({
    ...{ connectionsMax: 10, connectionsPerUserMax: 10 },
    ...{ connectionsPerAddressMax: 10, newConnectionsPerSecondMax: 10 },
    failedTokensPerMinuteMax: 10,
  });
  const slot = admission.acquire("192.0.2.1", () => false);
  if ("status" in slot) throw new Error("no slot");
  const events: string[] = [];
  const metrics: Metrics = {
    ...noMetrics,
    closed: ({ code }, by) => void events.push(`${by} ${code}`),
    handshakeLost: () => void events.push("handshake lost"),
  };
  const left: boolean[] = [];
  const connections = new Connections(hub, metrics);
  connections.observe({
    ended: (_connection, _left, isForGood) => void left.push(isForGood),
  });
  const state = { isDraining: false };
  const lose = (late: SocketSession) => late.lose();
  const handshakes = new Deadlines(HANDSHAKE_MS, lose, now);
  new SocketSession(
    {
      ...{ connections, roster: new Roster() },
      fanout: {
        sendControl: () => {},
        subscribeV1: () => {},
        subscribeV2: () => watch === "full" ? "full" : "subscribed",
        watch: (_connection, ids) => {
          events.push(`watch ${[...ids].join()}`);
          return "watching";
        },
        keepAlive: () => {},
      },
      ...{
        log: rememberingLog(),
        metrics,
        watchedUsersMax: 10,
        ids: INTEGER_IDS,
      },
      ...unlimited(() => Promise.reject(new Error("not used"))),
      ...{ ...WITHOUT_GROUPS, endOf: (exp) => exp, now: () => 0 },
      ...{ handshakes, draining: () => state.isDraining },
    },
    socket,
    {
      ...{ version, protocol: undefined, token: "t", requestId: "r" },
      ...{ since: undefined, watch: watch === "*" ? "*" : new Set([2]) },
    },
    slot,
    () => authorization.promise,
  );
  return {
    ...{ socket, hub, admission, events, state, left },
    decide: async (answer: Authorization) => {
      authorization.resolve(answer);
      await Promise.resolve();
      await Promise.resolve();
    },
  };
}

const USER = { userId: 1, exp: 100, tokenId: undefined };
const watch = (...userIds: number[]) =>
  JSON.stringify({ type: "watch", userIds });
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("an authorized session is a connection until the peer closes", async () => {
  const { socket, hub, admission, events, decide } = session();
  socket.open();
  equal(hub.size, 0);
  await decide(USER);
  equal(hub.size, 1);
  socket.end(1001);
  socket.end(1001);
  deepEqual([hub.size, admission.sockets, events], [0, 0, ["client 1001"]]);
});

Deno.test("[P8] a client leaves for good with code 1000 and the reason leave, and with nothing else", async () => {
  for (
    const [code, reason, isForGood] of [
      ...[[1000, "leave", true], [1000, "", false], [1000, "leaves", false]],
      ...[[1001, "leave", false], [4000, "leave", false], [1006, "", false]],
    ] as const
  ) {
    const { socket, left, decide } = session();
    socket.open();
    await decide(USER);
    socket.end(code, reason);
    deepEqual(left, [isForGood], `${code} ${reason}`);
  }
});

Deno.test("messages before the authorization are handled after it", async () => {
  const { socket, events, decide } = session();
  socket.open();
  socket.receive(watch(2));
  socket.receive(watch(3));
  deepEqual(events, []);
  await decide(USER);
  deepEqual(events, ["watch 2", "watch 3"]);
});

Deno.test("a refused session is closed once, in a closing slot until its peer answers", async () => {
  const { socket, admission, events, decide } = session();
  socket.open();
  await decide({ disconnect: DISCONNECT.tokenRevoked });
  socket.receive(watch(2));
  deepEqual(socket.closes, ["1008 token was revoked"]);
  deepEqual([admission.slotsInUse, admission.sockets], [0, 1]);
  socket.end(1008);
  deepEqual([admission.sockets, events], [0, ["server 1008"]]);
});

Deno.test("a session that is authorized while the node drains is closed with 1001", async () => {
  const { socket, hub, state, decide } = session();
  socket.open();
  state.isDraining = true;
  await decide(USER);
  deepEqual([socket.closes, hub.size], [["1001 server going away"], 0]);
});

Deno.test("a peer that leaves during the authorization gets no connection", async () => {
  const { socket, hub, admission, events, decide } = session();
  socket.open();
  socket.end(1006);
  await decide(USER);
  deepEqual([hub.size, admission.sockets], [0, 0]);
  deepEqual(events, ["client 1006"]);
});

Deno.test("[L1] a session whose watch set is past the node's limit is closed with 1013", async () => {
  const { socket, hub, events, decide } = session(2, "full");
  socket.open();
  await decide(USER);
  deepEqual(socket.closes, [
    "1013 too many watched users on this node, or for this user",
  ]);
  socket.end(1013);
  deepEqual([hub.size, events], [0, ["server 1013"]]);
});

for (const version of [1, 2] as const) {
  for (const isAuthorized of [false, true]) {
    const when = isAuthorized ? "after" : "before";
    Deno.test(`[L1] a v${version} client with too many messages ${when} the authorization is closed once with 1008`, async () => {
      const { socket, events, decide } = session(version);
      socket.open();
      if (isAuthorized) await decide(USER);
      for (let n = 0; n < 30; n++) socket.receive(watch());
      await decide(USER);
      deepEqual(socket.closes, []);
      await sleep(2 * CLOSE_DELAY_MS);
      deepEqual(socket.closes, ["1008 too many messages"]);
      socket.end(1008);
      const closed = events.filter((event) => !event.startsWith("watch"));
      deepEqual(closed, ["server 1008"]);
    });
  }
}

Deno.test("[L1] a socket that does not open in time frees its slot, and is closed if it opens later", () => {
  using timers = fakeTimers();
  const { socket, admission, events } = session(2, "*", timers.now);
  timers.advance(HANDSHAKE_MS);
  deepEqual([admission.sockets, events], [0, ["handshake lost"]]);
  equal(admission.socketsLost, 1);
  socket.open();
  deepEqual(socket.closes, ["1013 handshake timed out"]);
  // Its descriptor is free after all.
  socket.end(1013);
  equal(admission.socketsLost, 0);
});

Deno.test("a socket that opens in time is not closed later", () => {
  using timers = fakeTimers();
  const { socket, events } = session(2, "*", timers.now);
  socket.open();
  timers.advance(HANDSHAKE_MS);
  deepEqual([socket.closes, events], [[], []]);
});
