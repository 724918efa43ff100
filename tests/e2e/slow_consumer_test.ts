/** Slow consumers on a real server: what a peer that does not read costs, and what it receives later. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { SEND_BUFFER_BYTES_MAX } from "../../src/core/fanout/limits.ts";
import { DISCONNECT } from "../../src/client/protocol/disconnect.ts";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile, query } from "../support/database.ts";
import { metrics } from "../support/endpoints.ts";
import { frame, OPCODE } from "../support/frames.ts";
import { residentBytes } from "../support/process.ts";
import { rawHandshake, type RawSocket } from "../support/raw_socket.ts";
import { startServerOn } from "../support/server.ts";
import {
  connectSync,
  type SyncClient,
  SyncModel,
} from "../support/sync_client.ts";
import { joinAsNode } from "../support/transitions.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();

const CROWD = 500;
/** A snapshot with the names of the crowd, and Deno's copy of it. */
const SNAPSHOT_BYTES = 2 * 32_768;
const MIB = 1_048_576;
/** Characters of a long name. */
const LONG_NAME = 200;
/** The first byte of a ping frame. Everything else that the server sends here is ASCII. */
const PING = 0x89;
const range = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => from + index);

/** A peer that reads the head of the response and nothing after it. */
async function muteReader(url: string, userId: number): Promise<RawSocket> {
  const token = await tokenFor(userId);
  return await rawHandshake(url, {
    "Sec-WebSocket-Protocol": `rollcall.v2, bearer.${token}`,
  });
}

/** Reads what the server has sent, up to the message with this `seq`. */
async function readUpTo(
  raw: RawSocket,
  seq: number,
): Promise<{ model: SyncModel; seqs: number[] }> {
  const model = new SyncModel();
  const seqs: number[] = [];
  let bytes = raw.rest;
  const chunk = new Uint8Array(65_536);
  while (model.seq < seq) {
    const size = await raw.conn.read(chunk);
    if (size === null) throw new Error("the server closed the connection");
    bytes = new Uint8Array([...bytes, ...chunk.subarray(0, size)]);
    for (let text = shiftText(); text !== undefined; text = shiftText()) {
      model.take(JSON.parse(text));
      seqs.push(model.seq);
    }
  }
  return { model, seqs };

  /** RFC 6455, section 5.2: a server's frames are not masked. Skips pings. */
  function shiftText(): string | undefined {
    if (bytes.length < 2) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const [head = 0, short = 0] = bytes;
    const start = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (bytes.length < start) return undefined;
    const length = short === 126
      ? view.getUint16(2)
      : short === 127
      ? Number(view.getBigUint64(2))
      : short;
    if (bytes.length < start + length) return undefined;
    const payload = bytes.slice(start, start + length);
    bytes = bytes.slice(start + length);
    return (head & 15) === 1 ? new TextDecoder().decode(payload) : shiftText();
  }
}

Deno.test("[S3] a thousand peers that do not read cost their buffers, delay nobody, and are right when they read", async () => {
  await using server = await startServerOn(postgres.database(3_000), {
    MAX_CONNECTIONS_PER_USER: "1000",
  });
  await using node = await joinAsNode(server.databaseUrl);
  await using quick = await connectSync(server.url, 1);
  await quick.holds([1]);
  const crowd = range(1_000, CROWD);
  /** Half of the batches reach the quick reader in this time or less. */
  const delayMs = async (batches: number, others: readonly number[]) => {
    const delays: number[] = [];
    for (let round = 0; round < batches; round++) {
      const isArriving = round % 2 === 0;
      await node.apply(isArriving ? crowd : [], isArriving ? [] : crowd);
      const committedAt = performance.now();
      await quick.holds(isArriving ? [...others, ...crowd] : others);
      delays.push(performance.now() - committedAt);
    }
    return delays.sort((a, b) => a - b)[batches / 2] ?? Infinity;
  };
  // A busy machine is slow with or without the mute peers.
  const aloneMs = await delayMs(10, [1]);

  const mutes = await Promise.all(
    range(0, 1_000).map((n) => muteReader(server.url, 2 + n % 10)),
  );
  using _closing = {
    [Symbol.dispose]: () => mutes.forEach((mute) => mute[Symbol.dispose]()),
  };
  const base = range(1, 11);
  await quick.holds(base);
  const before = residentBytes(server.pid);

  // 10,000 transitions.
  const medianMs = await delayMs(20, base);
  ok(
    medianMs < 250 + 3 * aloneMs,
    `half of the batches took ${medianMs.toFixed()} ms, alone ${aloneMs.toFixed()} ms`,
  );
  const grown = residentBytes(server.pid) - before;
  const bytes = 1_000 * (SEND_BUFFER_BYTES_MAX + SNAPSHOT_BYTES);
  ok(grown < bytes, `grew by ${(grown / MIB).toFixed(0)} MiB`);

  await node.apply([999], []);
  await quick.holds([...base, 999]);
  for (const mute of mutes.slice(0, 20)) {
    const { model } = await readUpTo(mute, quick.model.seq);
    deepEqual(model.ids, quick.model.ids);
  }
  equal(quick.socket.readyState, WebSocket.OPEN);
});

Deno.test("[S3] a peer that reads again is right after one message", async () => {
  const url = await postgres.database(3_000);
  await query(url, "update users set username = repeat('x', 128)");
  await using server = await startServerOn(url);
  await using node = await joinAsNode(url);
  await using quick = await connectSync(server.url, 1);
  using mute = await muteReader(server.url, 2);
  await quick.holds([1, 2]);
  const crowd = range(500, 2_500);
  const turn = async (isArriving: boolean) => {
    await node.apply(isArriving ? crowd : [], isArriving ? [] : crowd);
    await quick.holds(isArriving ? [1, 2, ...crowd] : [1, 2]);
  };
  // Until the kernel's buffers are full, and the peer misses more than what is on its way.
  const onItsWay = 2 * crowd.length;
  const lag = async () =>
    (await metrics(server)).get("rollcall_fanout_lag_transitions") ?? NaN;
  for (let round = 0; await lag() <= onItsWay; round++) {
    ok(round < 200, "the server sends the peer everything");
    await turn(true);
    await turn(false);
  }
  const missed = 6;
  for (let round = 0; round < missed; round++) await turn(round % 2 === 0);
  await node.apply([999], []);
  await quick.holds([1, 2, 999]);
  const { model, seqs } = await readUpTo(mute, quick.model.seq);
  deepEqual(model.ids, quick.model.ids);
  ok((seqs.at(-1) ?? 0) - (seqs.at(-2) ?? 0) > missed * crowd.length);
});

/** A server whose users 500 to 2,499 have long names, so that a few batches fill the kernel's buffers. */
async function startWithLongNames() {
  const url = await postgres.database(2_500);
  await query(
    url,
    "update users set username = repeat('x', $1) || id where id >= 500",
    [LONG_NAME],
  );
  return await startServerOn(url);
}

/** Sends a crowd again and again, more than the kernel's buffers take, until user 2 is offline. */
async function crowdUntilOffline(
  node: Awaited<ReturnType<typeof joinAsNode>>,
  quick: SyncClient,
): Promise<void> {
  const crowd = range(500, 2_000);
  const isOffline = () => !quick.model.online.has(2);
  for (let round = 0; round < 200 && !isOffline(); round++) {
    const isArriving = round % 2 === 0;
    await node.apply(isArriving ? crowd : [], isArriving ? [] : crowd);
    await until(
      "the quick reader has the batch",
      () => quick.model.online.has(500) === isArriving || isOffline(),
    );
  }
  await until("user 2 is offline", isOffline, 30_000);
}

Deno.test("[S3] a peer that reads nothing for SLOW_CONSUMER_MS is closed, and its user goes offline", async () => {
  await using server = await startWithLongNames();
  await using node = await joinAsNode(server.databaseUrl);
  await using quick = await connectSync(server.url, 1);
  using mute = await muteReader(server.url, 2);
  await quick.holds([1, 2]);
  // A peer that sends nothing either would be disconnected because it answers no ping.
  const pong = frame("", { opcode: OPCODE.pong });
  const sending = setInterval(
    () => void mute.conn.write(pong).catch(() => {}),
    1_000,
  );
  using _sending = { [Symbol.dispose]: () => clearInterval(sending) };
  await crowdUntilOffline(node, quick);
  await until(
    "the log says why",
    () => server.log.join("\n").includes(DISCONNECT.slowConsumerStopped.reason),
  );
});

Deno.test("[P4] a peer that stops reading after a ping that it does not answer goes offline, whatever is sent meanwhile", async () => {
  await using server = await startWithLongNames();
  await using node = await joinAsNode(server.databaseUrl);
  await using quick = await connectSync(server.url, 1);
  using mute = await muteReader(server.url, 2);
  await quick.holds([1, 2]);
  const received = new Uint8Array(65_536);
  for (let size = 0; !received.subarray(0, size).includes(PING);) {
    const read = await mute.conn.read(received);
    if (read === null) throw new Error("the server closed the connection");
    size = read;
  }
  await crowdUntilOffline(node, quick);
});
