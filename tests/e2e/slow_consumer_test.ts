/** Peers that do not read, on a real server: what they cost, and what they are told later. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { SEND_BUFFER_BYTES_MAX } from "../../src/core/fanout/limits.ts";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile, query } from "../support/database.ts";
import { residentBytes } from "../support/process.ts";
import { rawHandshake, type RawSocket } from "../support/raw_socket.ts";
import { startServerOn } from "../support/server.ts";
import { connectSync, SyncModel } from "../support/sync_client.ts";
import { playNode } from "../support/transitions.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();

const CROWD = 500;
/** What a text of so many names takes, with its copy in Deno's hands. */
const STATE_BYTES = 2 * 32_768;
const MIB = 1_048_576;
const range = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => from + index);

/** A handshake whose answer nobody reads after the head. */
async function muteReader(url: string, userId: number): Promise<RawSocket> {
  const token = await tokenFor(userId);
  return await rawHandshake(url, {
    "Sec-WebSocket-Protocol": `rollcall.v2, bearer.${token}`,
  });
}

/** Reads everything that waits for a reader, until it knows `seq`. */
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

  /** RFC 6455, section 5.2: a server's frames are not masked. Pings are passed over. */
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
  const url = await postgres.database(3_000);
  await using server = await startServerOn(url, {
    MAX_CONNECTIONS_PER_USER: "1000",
  });
  await using node = await playNode(url);
  await using quick = await connectSync(server.url, 1);
  await quick.holds([1]);

  const mutes = await Promise.all(
    range(0, 1_000).map((n) => muteReader(server.url, 2 + n % 10)),
  );
  using _closing = {
    [Symbol.dispose]: () => mutes.forEach((mute) => mute[Symbol.dispose]()),
  };
  const base = range(1, 11);
  await quick.holds(base);
  const before = residentBytes(server.pid);

  // 10,000 transitions, and how long the quick reader waits for each batch of them.
  const delays: number[] = [];
  const crowd = range(1_000, CROWD);
  for (let round = 0; round < 20; round++) {
    const isComing = round % 2 === 0;
    await node.apply(isComing ? crowd : [], isComing ? [] : crowd);
    const committedAt = performance.now();
    await quick.holds(isComing ? [...base, ...crowd] : base);
    delays.push(performance.now() - committedAt);
  }
  delays.sort((a, b) => a - b);
  const median = delays[10] ?? Infinity;
  ok(median < 300, `half of the batches took ${median.toFixed(0)} ms`);
  const grown = residentBytes(server.pid) - before;
  const bytes = 1_000 * (SEND_BUFFER_BYTES_MAX + STATE_BYTES);
  ok(grown < bytes, `grew by ${(grown / MIB).toFixed(0)} MiB`);

  await node.apply([999], []);
  await quick.holds([...base.slice(0, 11), 999]);
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
  await using node = await playNode(url);
  await using quick = await connectSync(server.url, 1);
  using mute = await muteReader(server.url, 2);
  await quick.holds([1, 2]);
  const crowd = range(500, 2_500);
  const turn = async (isComing: boolean) => {
    await node.apply(isComing ? crowd : [], isComing ? [] : crowd);
    await quick.holds(isComing ? [1, 2, ...crowd] : [1, 2]);
  };
  // Until the kernel's buffers are full, and it misses more than what is on its way.
  const onItsWay = 2 * crowd.length;
  for (let round = 0; await lagOf(server.url) <= onItsWay; round++) {
    ok(round < 200, "the peer is told everything");
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

/** How many transitions the slowest connection has not been told. */
async function lagOf(serverUrl: string): Promise<number> {
  const text = await (await fetch(`${serverUrl}metrics`)).text();
  return Number(/^rollcall_fanout_lag_transitions (\d+)/m.exec(text)?.[1]);
}

Deno.test("[S3] a peer that takes nothing for long is closed, and its user is offline", async () => {
  const url = await postgres.database(3_000);
  await using server = await startServerOn(url);
  await using node = await playNode(url);
  await using quick = await connectSync(server.url, 1);
  using _mute = await muteReader(server.url, 2);
  await quick.holds([1, 2]);
  // Enough for whatever the kernel's buffers take, told again and again.
  const crowd = range(500, 2_500);
  const isOver = () => !quick.model.online.has(2);
  for (let round = 0; round < 1_000 && !isOver(); round++) {
    const isComing = round % 2 === 0;
    await node.apply(isComing ? crowd : [], isComing ? [] : crowd);
    await until(
      "the quick reader knows",
      () => quick.model.online.has(500) === isComing || isOver(),
      5_000,
    );
  }
  await until("the mute is gone", isOver, 20_000);
  ok(server.log.join("\n").includes("slow consumer: stopped reading"));
});
