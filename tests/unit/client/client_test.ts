/** The client library against servers that say what they like. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { Rollcall } from "../../../src/client/client.ts";
import { TIMING } from "../../../src/client/link.ts";
import type { Change } from "../../../src/client/replica.ts";
import { CLOSE } from "../../../src/protocol/close.ts";
import type { ServerMessage } from "../../../src/protocol/messages.ts";
import { until } from "../../support/until.ts";

/** What a played server does with the nth connection, from 0. */
type Play = (peer: Peer, nth: number) => void;

interface Peer {
  readonly url: URL;
  readonly protocols: string;
  readonly socket: WebSocket;
  readonly said: unknown[];
  /** Answers on their way; the server does not end before they arrived. */
  readonly answers: Promise<void>[];
  say(...messages: (ServerMessage | string)[]): void;
}

function playServer(play: Play, refuses: (url: URL) => boolean = () => false) {
  const peers: Peer[] = [];
  const server = Deno.serve({ port: 0, onListen() {} }, (request) => {
    const url = new URL(request.url);
    if (refuses(url)) return new Response("bad watch", { status: 400 });
    const protocols = request.headers.get("sec-websocket-protocol") ?? "";
    const { socket, response } = Deno.upgradeWebSocket(request);
    response.headers.set("sec-websocket-protocol", "rollcall.v2");
    const said: unknown[] = [];
    const peer = {
      ...{ socket, said, url, protocols, answers: [] },
      say: (...messages: (ServerMessage | string)[]) => {
        for (const message of messages) {
          socket.send(
            typeof message === "string" ? message : JSON.stringify(message),
          );
        }
      },
    };
    socket.onopen = () => play(peer, peers.push(peer) - 1);
    socket.onmessage = ({ data }) => said.push(JSON.parse(data));
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

/** Answers each watch: an error is about it, and of all else the last message is what it asked for. */
function serveWatches(
  peer: Peer,
  answer: (userIds: number[] | "*", nth: number) => ServerMessage[],
): void {
  const serve = async (data: string) => {
    const { userIds, ref } = JSON.parse(data);
    const messages = answer(userIds, peer.said.push(userIds) - 1);
    // A network takes its time.
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (peer.socket.readyState !== WebSocket.OPEN) return;
    const isRefused = messages.some(({ type }) => type === "error");
    for (const [index, message] of messages.entries()) {
      if (message.type === "error") peer.say({ ...message, ref });
      else {
        const isLast = index === messages.length - 1;
        if (isLast && !isRefused) peer.say({ type: "watching", ref });
        peer.say(message);
      }
    }
  };
  peer.socket.onmessage = ({ data }) => void peer.answers.push(serve(data));
}

const FAST = {
  ...TIMING,
  retryFirstMs: 20,
  retryLongestMs: 80,
  patienceMs: 300,
  silenceMs: 300,
  refreshAgainMs: 50,
  random: () => 1,
};

type Options = Partial<ConstructorParameters<typeof Rollcall>[1]>;

/** A client that notes what it hears. */
function listen(url: string, options: Options = {}, timing = FAST) {
  const rollcall = new Rollcall(url, { token: "t", ...options }, timing);
  const heard: string[] = [];
  const statuses: string[] = [];
  rollcall.on("online", ({ user }) => heard.push(`+${user.id}`));
  rollcall.on("offline", ({ user }) => heard.push(`-${user.id}`));
  rollcall.on("state", (users) => heard.push(`=${[...users.keys()]}`));
  rollcall.on("error", ({ code }) => heard.push(code));
  rollcall.on("status", ({ state }) => statuses.push(state));
  return {
    ...{ rollcall, heard, statuses },
    hears: (...wanted: string[]) =>
      until(
        `hears ${wanted}, not ${heard}`,
        () => heard.join(" ") === wanted.join(" "),
        3_000,
      ),
    is: (state: string) =>
      until(`is ${state}`, () => rollcall.status.state === state, 3_000),
    [Symbol.dispose]: () => rollcall.close(),
  };
}

const users = (...ids: number[]) =>
  ids.map((id) => ({ id, username: `user${id}` }));
const state = (seq: number, ...ids: number[]): ServerMessage => ({
  ...{ type: "presence_state", seq, users: users(...ids) },
});
const diff = (
  seq: number,
  online: number[],
  offline: number[] = [],
): ServerMessage => ({
  ...{ type: "presence_diff", seq, online: users(...online), offline },
});

Deno.test("[S1] the client follows a state and differences, and passes over what was told", async () => {
  await using server = playServer(({ say }) =>
    say(
      ...[state(5, 1, 2), diff(6, [3]), diff(6, [4]), diff(5, [], [1])],
      '{"type":"something new"}',
      diff(9, [], [2]),
    )
  );
  using client = listen(server.url);
  await client.hears("=1,2", "+3", "-2");
  deepEqual([...client.rollcall.users.keys()], [1, 3]);
  equal(client.rollcall.users.get(1)?.since, undefined);
  ok(client.rollcall.users.get(3)?.since instanceof Date);
  deepEqual(client.statuses, ["connecting", "connected"]);
  equal(server.peers[0]?.protocols, "rollcall.v2, bearer.t");
});

Deno.test("[S2] after a lost connection it goes on, and tells only what is different", async () => {
  await using server = playServer(({ say, socket }, nth) => {
    if (nth === 0) {
      say(state(5, 1, 2, 3));
      socket.close(CLOSE.goingAway.code);
    } else if (nth === 1) {
      say(diff(8, [4], [1]), { type: "keepalive", seq: 11 });
      socket.close(CLOSE.internal.code);
    } else {
      say(state(20, 2, 4, 5));
    }
  });
  using client = listen(server.url);
  await client.hears("=1,2,3", "-1", "+4", "-3", "+5");
  deepEqual(
    server.peers.map(({ url }) => url.searchParams.get("since")),
    [null, "5", "11"],
  );
});

for (const { code, reconnect, meaning } of Object.values(CLOSE)) {
  const isFinal = reconnect === "no";
  Deno.test(`[S2] closed with ${code} (${meaning}) the client ${isFinal ? "stays away" : "comes back"}`, async () => {
    await using server = playServer(({ say, socket }, nth) => {
      if (nth === 0) socket.close(code, meaning);
      else say(state(1));
    });
    using client = listen(server.url);
    await client.is(isFinal ? "closed" : "connected");
    equal(server.peers.length, isFinal ? 1 : 2);
    if (isFinal) equal(client.rollcall.status.code, code);
  });
}

for (
  const nonsense of [
    "not json",
    "null",
    "[]",
    '"text"',
    '{"type":"presence_state"}',
    '{"type":"presence_state","seq":1,"users":[{"id":"x"}]}',
    '{"type":"presence_state","seq":-1,"users":[]}',
    '{"type":"presence_diff","seq":"9","online":[],"offline":[]}',
    '{"type":"presence_diff","seq":9,"online":null,"offline":[]}',
    '{"type":"presence_diff","seq":9,"online":[],"offline":[0]}',
    '{"type":"presence_diff","seq":1e99,"online":[],"offline":[]}',
    '{"type":"presence_count","seq":1,"online":-3}',
    '{"type":"keepalive"}',
  ]
) {
  Deno.test(`[S2] told ${nonsense}, the client begins anew and does not spin`, async () => {
    await using server = playServer(({ say }, nth) => {
      if (nth % 2 === 0) say(state(5, 1), nonsense);
      else say(state(7, 1, 2));
    });
    using client = listen(server.url);
    await until("it came back", () => client.rollcall.users.has(2), 3_000);
    equal(server.peers.length, 2);
    equal(server.peers[1]?.url.searchParams.get("since"), null);
    deepEqual(client.heard, ["=1", "+2"]);
  });
}

Deno.test("[S2] a difference before any state is not understood", async () => {
  await using server = playServer(({ say }, nth) => {
    if (nth === 0) say(diff(3, [1]));
    else say(state(3, 2));
  });
  using client = listen(server.url);
  await client.hears("=2");
  equal(server.peers.length, 2);
});

Deno.test("[S2] a storm of closes is met with longer and longer waits", async () => {
  const times: number[] = [];
  await using server = playServer(({ say, socket }) => {
    times.push(performance.now());
    say(state(1));
    socket.close(CLOSE.goingAway.code);
  });
  using client = listen(server.url, {}, { ...FAST, retryLongestMs: 500 });
  await until("there were 6 connections", () => times.length >= 6, 5_000);
  client.rollcall.close();
  const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
  for (const [index, gap] of gaps.entries()) {
    const least = Math.min(500, 20 * 2 ** index);
    ok(gap >= least - 5, `gap ${index} was ${gap} ms, expected ${least}`);
  }
  deepEqual(client.heard, ["="]);
});

Deno.test("[S2] a server that never answers, and one that falls silent, are given up", async () => {
  await using server = playServer(({ say }, nth) => {
    if (nth > 0) say(state(1, nth));
  });
  using client = listen(server.url);
  await client.is("connected");
  equal(server.peers.length, 2);
  await until("it came back after the silence", () => server.peers.length > 2);
});

Deno.test("a token comes from a function, anew each time, and its faults are told", async () => {
  await using server = playServer(({ say, socket }, nth) => {
    if (nth === 0) socket.close(CLOSE.tokenExpired.code);
    else say(state(1));
  });
  let calls = 0;
  const token = () => {
    calls += 1;
    if (calls === 2) throw new Error("no token today");
    return Promise.resolve(`t${calls}`);
  };
  using client = listen(server.url, { token });
  await client.is("connected");
  deepEqual(server.peers.map(({ protocols }) => protocols), [
    "rollcall.v2, bearer.t1",
    "rollcall.v2, bearer.t3",
  ]);
});

Deno.test("a token function that fails too late harms no later connection", async () => {
  await using server = playServer(({ say }) => say(state(1)));
  const late = Promise.withResolvers<string>();
  let calls = 0;
  const token = () => ++calls === 1 ? late.promise : "t2";
  using client = listen(server.url, { token });
  await client.is("connected");
  late.reject(new Error("too late"));
  await late.promise.catch(() => {});
  server.peers[0]?.say(diff(2, [7]));
  await client.hears("=", "+7");
  deepEqual(client.statuses, [
    "connecting",
    "waiting",
    "connecting",
    "connected",
  ]);
});

Deno.test("a token that expires soon is replaced over the same connection", async () => {
  const warning: ServerMessage = {
    ...{ type: "error", code: "token_expiring", message: "soon" },
  };
  await using server = playServer(({ say }) => say(state(1), warning));
  let calls = 0;
  using client = listen(server.url, { token: () => `t${++calls}` });
  await until("it refreshed", () => server.peers[0]?.said.length === 1);
  deepEqual(server.peers[0]?.said, [{ type: "refresh", token: "t2" }]);
  equal(server.peers.length, 1);
  deepEqual(client.heard, ["="]);
});

Deno.test("a token function that fails when a token ends soon is asked again", async () => {
  const warning: ServerMessage = {
    ...{ type: "error", code: "token_expiring", message: "soon" },
  };
  await using server = playServer(({ say }) => say(state(1), warning));
  let calls = 0;
  const token = () => {
    calls += 1;
    if (calls === 2) throw new Error("the issuer is away");
    return `t${calls}`;
  };
  using client = listen(server.url, { token });
  await until("it refreshed", () => server.peers[0]?.said.length === 1);
  deepEqual(server.peers[0]?.said, [{ type: "refresh", token: "t3" }]);
  deepEqual(client.heard, ["=", "token_expiring"]);
});

Deno.test("a socket that fails without a close, as on Node 22, is tried again at once", async () => {
  const real = globalThis.WebSocket;
  let made = 0;
  globalThis.WebSocket = class extends EventTarget {
    static OPEN = 1;
    readyState = 0;
    onerror: () => void = () => {};
    readonly #failing = setTimeout(() => this.onerror(), 1);
    constructor() {
      super();
      made += 1;
    }
    close() {
      clearTimeout(this.#failing);
    }
  } as unknown as typeof WebSocket;
  try {
    const timing = { ...FAST, patienceMs: 60_000 };
    using client = listen("ws://127.0.0.1:1/ws", {}, timing);
    await until("it tried thrice", () => made >= 3);
    client.rollcall.close();
    deepEqual(client.statuses.slice(0, 3), [
      ...["connecting", "waiting", "connecting"],
    ]);
  } finally {
    globalThis.WebSocket = real;
  }
});

Deno.test("[S4] other users are watched without anybody coming or going", async () => {
  await using server = playServer((peer) => {
    const watched = peer.url.searchParams.get("watch");
    peer.say(watched === "1,2" ? state(1, 1) : state(1));
    serveWatches(
      peer,
      (_, nth) => nth === 0 ? [diff(2, [2]), state(3, 2)] : [state(4, 2, 3, 9)],
    );
  });
  using client = listen(server.url, { watch: [1, 2] });
  await client.hears("=1");
  client.rollcall.watch([2, 3]);
  await client.hears("=1", "+2", "=2");
  client.rollcall.watch("*");
  // Of 3 it was known that it was not online; of 9 nothing was known.
  await client.hears("=1", "+2", "=2", "+3", "=2,3,9");
  deepEqual(server.peers[0]?.said, [[2, 3], "*"]);
});

Deno.test("[S4] of many watches in a row the last one wins, and few are sent", async () => {
  await using server = playServer((peer) => {
    peer.say(state(1, 1, 2, 3));
    serveWatches(peer, (userIds) => [state(1, ...userIds as number[])]);
  });
  using client = listen(server.url, {}, { ...FAST, silenceMs: 3_000 });
  await client.hears("=1,2,3");
  client.rollcall.watch([1]);
  client.rollcall.watch([2]);
  client.rollcall.watch([3]);
  await client.hears("=1,2,3", "=3");
  deepEqual(server.peers[0]?.said, [[1], [3]]);
  for (let n = 0; n < 40; n++) {
    client.rollcall.watch([1 + n % 2]);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  await until("the last wish is served", () => client.heard.at(-1) === "=2");
  ok((server.peers[0]?.said.length ?? 0) < 15);
  equal(server.peers.length, 1);
});

const TOO_LARGE: ServerMessage = {
  ...{ type: "error", code: "watch_too_large", message: "too many" },
};

Deno.test("[L1] a list that is too long is refused alone, not the next one", async () => {
  await using server = playServer((peer) => {
    peer.say(state(1, 4));
    serveWatches(
      peer,
      (userIds) =>
        userIds.length > 3
          ? [diff(2, [5]), TOO_LARGE]
          : [state(3, ...userIds as number[])],
    );
  });
  using client = listen(server.url, { watch: [4, 5] });
  await client.hears("=4");
  client.rollcall.watch([1, 2, 3, 4]);
  // Until the server agrees all is as it was, and so it stays.
  await client.hears("=4", "+5", "watch_too_large");
  client.rollcall.watch([1, 2, 3, 5]);
  client.rollcall.watch([2, 3]);
  await client.hears("=4", "+5", "watch_too_large", "watch_too_large", "=2,3");
});

Deno.test("[S4] a refused wish leaves the one before it, also if its state was passed over", async () => {
  await using server = playServer((peer) => {
    peer.say(state(1, 1, 2, 7));
    serveWatches(peer, (userIds) => {
      if (userIds.length > 3) return [TOO_LARGE];
      return [state(1, ...userIds as number[])];
    });
  });
  using client = listen(server.url);
  await client.hears("=1,2,7");
  client.rollcall.watch([1, 2]);
  client.rollcall.watch([3, 4, 5, 6]);
  await client.hears("=1,2,7", "watch_too_large", "=1,2");
  deepEqual(server.peers[0]?.said, [[1, 2], [3, 4, 5, 6], [1, 2]]);
});

Deno.test("[S2] who wants everybody again and is cut off resumes from what is known of everybody", async () => {
  await using server = playServer((peer, nth) => {
    if (nth === 0) {
      peer.say(state(10, 1, 2));
      // User 2 left at 11, which is not told to who watches 1.
      serveWatches(peer, () => [state(10, 1)]);
    } else peer.say(diff(12, [], [1, 2]));
  });
  using client = listen(server.url);
  await client.hears("=1,2");
  client.rollcall.watch([1]);
  client.rollcall.watch("*");
  await until("it asks again", () => server.peers[0]?.said.length === 2);
  server.peers[0]?.say(diff(12, [], [1]));
  server.peers[0]?.socket.close(1013);
  await client.hears("=1,2", "-1", "-2");
  equal(server.peers[1]?.url.searchParams.get("since"), "10");
});

Deno.test("[L1] a node that is full for a while does not make a client forget whom it watches", async () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => 1_000_000 + index);
  const full: ServerMessage = {
    ...{ type: "error", code: "overloaded", message: "this node is full" },
  };
  await using server = playServer((peer, nth) => {
    peer.say(state(1));
    serveWatches(peer, () => nth < 2 ? [full] : [state(1, 1_000_007)]);
  });
  using client = listen(server.url, { watch: ids });
  await client.hears("=1000007");
  equal(server.peers.length, 3);
});

Deno.test("[L1] a list that is too long at the start leaves nobody watched, and an error", async () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => 1_000_000 + index);
  await using server = playServer((peer) => {
    peer.say(state(1));
    serveWatches(peer, (userIds) => userIds.length ? [TOO_LARGE] : [state(1)]);
  });
  using client = listen(server.url, { watch: ids });
  await client.hears("watch_too_large", "=");
  equal(client.rollcall.status.state, "connected");
});

Deno.test("[S4] a list that a server refuses in the URL is sent as a message", async () => {
  await using server = playServer((peer) => {
    peer.say(state(1));
    serveWatches(peer, (userIds) => userIds.length ? [TOO_LARGE] : [state(1)]);
  }, (url) => !["", null].includes(url.searchParams.get("watch")));
  using client = listen(server.url, { watch: [1, 2, 3, 4, 5, 6] });
  await client.hears("watch_too_large", "=");
});

Deno.test("[L1] counts are the answer to a watch for everybody, and to no other", async () => {
  const count: ServerMessage = {
    ...{ type: "presence_count", seq: 9, online: 31_415 },
  };
  await using server = playServer((peer) => {
    peer.say(state(1, 1));
    serveWatches(
      peer,
      (userIds) => userIds === "*" ? [count] : [count, state(10, 2)],
    );
  });
  using client = listen(server.url, { watch: [1] });
  await client.hears("=1");
  client.rollcall.watch("*");
  await client.hears("=1", "=");
  equal(client.rollcall.count, 31_415);
  client.rollcall.watch([2]);
  await client.hears("=1", "=", "=2");
  equal(client.rollcall.count, 1);
});

Deno.test("closed while connecting, the client stays closed and tells nothing more", async () => {
  await using server = playServer(({ say }) => say(state(1, 1)));
  using client = listen(server.url);
  client.rollcall.on("status", ({ state }) => {
    if (state === "connecting") client.rollcall.close();
  });
  await client.is("closed");
  using late = listen(server.url);
  late.rollcall.on("status", ({ state }) => {
    if (state === "connected") late.rollcall.close();
  });
  await late.is("closed");
  await new Promise((resolve) => setTimeout(resolve, 100));
  equal(server.peers.length, 1);
  deepEqual(client.statuses, ["connecting", "closed"]);
  deepEqual(late.statuses, ["connecting", "connected", "closed"]);
  deepEqual(late.heard, []);
});

Deno.test("what can be no token is never quoted, and not tried again", async () => {
  await using server = playServer(() => {});
  for (const token of ["se cret", "secret\n", "", undefined, 5]) {
    using client = listen(server.url, { token: () => token as string });
    await client.is("closed");
    deepEqual(client.rollcall.status, {
      ...{ state: "closed", code: 1008 },
      reason: "expected a JWT as the token",
    });
  }
  equal(server.peers.length, 0);
});

Deno.test("a slow loop is told nothing of users who are not watched any more", async () => {
  await using server = playServer((peer) => {
    peer.say(state(1), diff(2, [1, 2]));
    serveWatches(
      peer,
      (userIds) => [userIds === "*" ? state(4, 2) : state(3, 2)],
    );
  });
  using client = listen(server.url);
  const reader = client.rollcall[Symbol.asyncIterator]();
  await client.hears("=", "+1", "+2");
  client.rollcall.watch([2]);
  await client.hears("=", "+1", "+2", "=2");
  client.rollcall.watch("*");
  await client.hears("=", "+1", "+2", "=2", "=2");
  server.peers[0]?.say(diff(5, [1]));
  await client.hears("=", "+1", "+2", "=2", "=2", "+1");
  const seen = [];
  for (let n = 0; n < 2; n++) {
    const { value } = await reader.next();
    seen.push(`${value.user.id} ${value.type}`);
  }
  deepEqual(seen, ["2 online", "1 online"]);
});

Deno.test("[S4] a long list follows as a message, and then the connection is right", async () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => 1_000_000 + index);
  await using server = playServer((peer) => {
    peer.say(state(1));
    serveWatches(peer, () => [state(1, 1_000_001)]);
  });
  using client = listen(server.url, { watch: ids });
  await client.hears("=1000001");
  equal(server.peers[0]?.url.searchParams.get("watch"), "");
  deepEqual(client.statuses, ["connecting", "connected"]);
});

Deno.test("[L1] too many to watch is an error, and what was watched stays", async () => {
  await using server = playServer((peer) => {
    peer.say(state(1, 7));
    serveWatches(peer, () => [TOO_LARGE, diff(2, [8])]);
  });
  using client = listen(server.url);
  await client.hears("=7");
  client.rollcall.watch([1, 2, 3]);
  await client.hears("=7", "watch_too_large", "+8");
});

Deno.test("[L1] counts instead of names leave nobody named, and names come back", async () => {
  const count: ServerMessage = {
    type: "presence_count",
    seq: 9,
    online: 31_415,
  };
  await using server = playServer(({ say }, nth) => {
    if (nth === 0) say(state(1, 1, 2), count);
    else say(state(12, 2));
  });
  using client = listen(server.url);
  await client.hears("=1,2", "=");
  equal(client.rollcall.count, 31_415);
  server.peers[0]?.say(state(12, 2));
  await client.hears("=1,2", "=", "=2");
  equal(client.rollcall.count, 1);
});

Deno.test("a loop gets each change, and a slow one what is different since its last turn", async () => {
  await using server = playServer(({ say }) => say(state(1, 1)));
  using client = listen(server.url);
  await client.hears("=1");
  const seen: string[] = [];
  const note = ({ type, user }: Change) => seen.push(`${user.id} ${type}`);
  const reader = client.rollcall[Symbol.asyncIterator]();
  const peer = server.peers[0];
  peer?.say(diff(2, [2]), diff(3, [3]), diff(4, [], [2]), diff(5, [], [1]));
  await until("all arrived", () => client.heard.length === 5);
  const loop = (async () => {
    for await (const change of reader) note(change);
  })();
  await until("the loop saw two", () => seen.length === 2);
  peer?.say(diff(6, [5]));
  await until("and a third", () => seen.length === 3);
  client.rollcall.close();
  await loop;
  deepEqual(seen, ["3 online", "1 offline", "5 online"]);
  for await (const _change of client.rollcall) throw new Error("it is closed");
});

Deno.test("users cannot be changed from outside", async () => {
  await using server = playServer(({ say }) => say(state(1, 1)));
  using client = listen(server.url);
  await client.hears("=1");
  const map = client.rollcall.users as Map<number, unknown>;
  throws(() => map.set(2, {}), /follow the server/);
  throws(() => map.delete(1), /follow the server/);
  throws(() => map.clear(), /follow the server/);
  deepEqual([...client.rollcall.users.keys()], [1]);
});

Deno.test("a signal closes the client, before and after it connected", async () => {
  await using server = playServer(({ say }) => say(state(1)));
  const abort = new AbortController();
  using client = listen(server.url, { signal: abort.signal });
  await client.is("connected");
  abort.abort();
  equal(client.rollcall.status.state, "closed");
  using never = listen(server.url, { signal: AbortSignal.abort() });
  await never.is("closed");
  equal(server.peers.length, 1);
});

Deno.test("what cannot be connected to or watched is refused at once", () => {
  const build = (url: string, watch?: unknown) => () =>
    new Rollcall(url, { token: "t", ...(watch ? { watch } : {}) } as never);
  throws(build("nowhere"), /Cannot connect to "nowhere": expected a URL/);
  throws(build("ftp://x/ws"), /expected wss: or https:/);
  throws(build("ws://x/ws", [0]), /expected a user id/);
  throws(
    () => new Rollcall("ws://x/ws", { token: 5 } as never),
    /expected a token, or a function/,
  );
  throws(build("ws://x/ws", "12"), /expected user ids, or "\*"/);
  throws(build("ws://x/ws", 12), /Cannot watch 12: expected user ids/);
  throws(
    () => new Rollcall("ws://x/ws", undefined as never),
    /expected a token, or a function/,
  );
  const many = Array.from({ length: 5_001 }, (_, index) => index + 1);
  throws(
    build("ws://x/ws", many),
    /Cannot watch 5001 users: expected at most 5000/,
  );
});

Deno.test("a server that is not there is tried again, with waits", async () => {
  using client = listen("ws://127.0.0.1:1/ws");
  await until(
    "it tried thrice",
    () => client.statuses.filter((state) => state === "waiting").length >= 3,
  );
  client.rollcall.close();
  deepEqual(client.statuses.slice(0, 3), [
    "connecting",
    "waiting",
    "connecting",
  ]);
});

Deno.test("without a network the client pauses, and comes back at once with it", async () => {
  await using server = playServer(({ say }, nth) =>
    say(state(1 + nth, 1, nth + 2))
  );
  using client = listen(server.url, {}, { ...FAST, retryFirstMs: 60_000 });
  await client.is("connected");
  dispatchEvent(new Event("offline"));
  equal(client.rollcall.status.state, "paused");
  dispatchEvent(new Event("online"));
  await client.is("connected");
  await client.hears("=1,2", "-2", "+3");
});
