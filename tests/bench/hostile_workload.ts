/**
 * What peers that send endless messages cost in memory on the engine `ws`, with a token and without.
 *
 * The engine `native` bounds neither, so it takes no part: it would fill the memory of the machine.
 *
 * @module
 */
import { CLIENT_MESSAGE_BYTES_MAX } from "../../src/socket/limits.ts";
import { tokenFor } from "../support/client.ts";
import { frame, OPCODE } from "../support/frames.ts";
import { rawHandshake, type RawSocket } from "../support/raw_socket.ts";
import { type Contender, type Running, start } from "./contenders.ts";
import type { Result, Stage } from "./workloads.ts";

const KIB = 1_024;
/** What a peer sends at most, in parts. The server ends the connection long before. */
const SENT_BYTES_MAX = 16_384 * KIB;
/** How long a peer waits with a message that is not complete. */
const HELD_MS = 3_000;
const PART_BYTES = 16 * KIB;
const SAMPLE_MS = 10;

/** - `fragments`: without an end. - `half a frame`: of 60 MiB. - `waiting`: as much as is allowed. */
const WAYS = ["fragments", "half a frame", "waiting"] as const;

export async function hostilePeers(
  contender: Contender,
  stage: Stage,
  peers: number,
): Promise<Result> {
  const without = await peak(contender, stage, peers, "none");
  const withToken = await peak(contender, stage, peers, await tokenFor(1));
  return {
    metrics: {
      withoutTokenKiB: without.bytes / peers / KIB,
      withTokenKiB: withToken.bytes / peers / KIB,
    },
    faults: [...without.faults, ...withToken.faults],
  };
}

/** By how much the server grows while all peers send at once. */
async function peak(
  contender: Contender,
  stage: Stage,
  peers: number,
  token: string,
): Promise<{ bytes: number; faults: string[] }> {
  const environment = await stage.environment(contender);
  await using server = await start(contender, environment);
  const before = server.residentBytes();
  let most = before;
  const sampling = setInterval(() => {
    most = Math.max(most, server.residentBytes());
  }, SAMPLE_MS);
  const attacks = Array.from(
    { length: peers },
    (_, n) => attack(server, token, WAYS[n % WAYS.length] ?? "fragments"),
  );
  const accepted = await Promise.all(attacks);
  clearInterval(sampling);
  const all = accepted.filter((bytes) => bytes >= SENT_BYTES_MAX).length;
  return {
    bytes: most - before,
    faults: all > 0 ? [`${all} peers could send ${SENT_BYTES_MAX} bytes`] : [],
  };
}

/** Sends a message without an end. Returns how many bytes the server accepted. */
async function attack(
  { url }: Running,
  token: string,
  how: typeof WAYS[number],
): Promise<number> {
  using raw = await rawHandshake(url, {
    "Sec-WebSocket-Protocol": `rollcall.v2, bearer.${token}`,
  });
  if (how === "waiting") {
    const most = "x".repeat(CLIENT_MESSAGE_BYTES_MAX - 1);
    await writeAll(raw, frame(most, { isFinal: false }));
    await new Promise((resolve) => setTimeout(resolve, HELD_MS));
    return 0;
  }
  const part = new Uint8Array(PART_BYTES).fill(120);
  const isHalf = how === "half a frame";
  const first = isHalf
    ? frame("", { length: 60 * KIB * KIB })
    : frame(part, { isFinal: false });
  const { continuation: opcode } = OPCODE;
  const next = isHalf ? part : frame(part, { opcode, isFinal: false });
  let sent = await writeAll(raw, first);
  while (sent < SENT_BYTES_MAX) {
    const size = await writeAll(raw, next);
    if (size === 0) break;
    sent += size;
  }
  return sent;
}

/** Returns 0 when the server has ended the connection. */
async function writeAll(raw: RawSocket, bytes: Uint8Array): Promise<number> {
  for (let at = 0; at < bytes.length;) {
    const size = await raw.conn.write(bytes.subarray(at)).catch(() => 0);
    if (size === 0) return 0;
    at += size;
  }
  return bytes.length;
}
