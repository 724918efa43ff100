/**
 * What peers meet that break the rules of RFC 6455. The expectations are the cells of the table in
 * docs/protocol.md, "Socket engines", for the engine that the tests run on.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import {
  CLIENT_FRAGMENTS_MAX,
  CLIENT_MESSAGE_BYTES_MAX,
  CLIENT_PIECES_MAX,
  CLOSE_ANSWER_MS,
  CONTROL_FRAMES_MAX,
  IDLE_TIMEOUT_SECONDS,
  PEER_CHECK_MS,
} from "../../src/socket/limits.ts";
import { socketUrl, tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { frame, type FrameOptions, OPCODE } from "../support/frames.ts";
import { servedDescriptors } from "../support/process.ts";
import {
  rawHandshake,
  type RawSocket,
  resetHandshake,
} from "../support/raw_socket.ts";
import { ROOT, sharedServer, startServerOn } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { pause, until } from "../support/until.ts";

const ENGINE = Deno.env.get("SOCKET_ENGINE") === "ws" ? "ws" : "native";
const ENDS = "the socket ends without a close frame";

const postgres = postgresForThisFile();
const server = sharedServer(() => startServerOn(postgres.database(50)));

/** The cells of this engine, by what a peer does. */
const documented = new Map<string, string>();
{
  const text = Deno.readTextFileSync(`${ROOT}docs/protocol.md`);
  const section = text.split("### Socket engines\n")[1]?.split("\n### ")[0];
  for (const line of section?.split("\n") ?? []) {
    const [, does = "", native = "", ws = ""] = line.split("|")
      .map((cell) => cell.trim());
    if (does === "" || /^(-+|what a peer does)$/.test(does)) continue;
    documented.set(does, ENGINE === "ws" ? ws : native);
  }
}
const tested = new Set<string>();

interface Peer {
  readonly raw: RawSocket;
  write(...bytes: Uint8Array[]): Promise<void>;
  /** All frames of the server so far, as text: `close <code> <reason>`, `pong`, `keepalive` ... */
  readonly frames: readonly string[];
  /** The cell that describes how the server ends the connection. */
  ending(deadlineMs?: number): Promise<string>;
  readonly isEnded: boolean;
}

/** Registers the test of a row. */
function row(
  does: string,
  perform: (peer: Peer) => Promise<string>,
): void {
  tested.add(does);
  Deno.test(`on the engine ${ENGINE}, a peer: ${does}`, async () => {
    await using peer = await connectPeer();
    equal(await perform(peer), documented.get(does));
  });
}

async function connectPeer(): Promise<Peer & AsyncDisposable> {
  const raw = await rawHandshake(server.url, {
    "Sec-WebSocket-Protocol": `rollcall.v2, bearer.${await tokenFor(1)}`,
  });
  raw.conn.setNoDelay();
  const frames: string[] = [];
  let [bytes, isEnded] = [raw.rest, false];
  const read = async () => {
    const chunk = new Uint8Array(65_536);
    while (true) {
      for (let next; (next = shiftFrame(bytes)); bytes = next.rest) {
        frames.push(next.text);
      }
      const size = await raw.conn.read(chunk).catch(() => null);
      if (size === null) break;
      bytes = new Uint8Array([...bytes, ...chunk.subarray(0, size)]);
    }
    isEnded = true;
  };
  const reading = read();
  const peer = {
    ...{ raw, frames },
    get isEnded() {
      return isEnded;
    },
    write: async (...chunks: Uint8Array[]) => {
      for (const chunk of chunks) {
        for (let at = 0; at < chunk.length;) {
          const size = await raw.conn.write(chunk.subarray(at)).catch(() => 0);
          if (size === 0) return;
          at += size;
        }
      }
    },
    ending: async (deadlineMs?: number) =>
      await until("the server ends the connection", () => {
        const close = frames.find((text) => text.startsWith("close"));
        const [, code, reason] = /^close (\d+) (.*)$/.exec(close ?? "") ?? [];
        if (code === undefined) return isEnded && ENDS;
        return `${code} ${
          reason === "" ? "without a reason" : `\`${reason}\``
        }`;
      }, deadlineMs),
    [Symbol.asyncDispose]: async () => {
      raw[Symbol.dispose]();
      await reading;
    },
  };
  await until("the peer has its state", () => frames.length > 0);
  return peer;
}

/** The first frame in these bytes, if it is complete. A server's frames are short and not masked. */
function shiftFrame(bytes: Uint8Array) {
  const [head = 0, short = 0] = bytes;
  const start = short === 126 ? 4 : 2;
  if (bytes.length < start) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = short === 126 ? view.getUint16(2) : short;
  if (bytes.length < start + length) return undefined;
  const payload = bytes.slice(start, start + length);
  const decode = (data: Uint8Array) => new TextDecoder().decode(data);
  const opcode = head & 15;
  const text = opcode === OPCODE.close
    ? `close ${new DataView(payload.buffer).getUint16(0)} ${
      decode(payload.slice(2))
    }`
    : opcode === OPCODE.text
    ? JSON.parse(decode(payload)).type
    : opcode === OPCODE.pong
    ? "pong"
    : "ping";
  return { text, rest: bytes.slice(start + length) };
}

/** A message that is answered, of this many bytes. */
const question = (bytes: number) => '{"type":"ping"}'.padEnd(bytes);
const isAnswered = async ({ frames }: Peer, before: number) =>
  void await until(
    "the message is answered",
    () => frames.slice(before).includes("keepalive"),
  );

/** Resolves when the server has served another client, who connected after what this peer sent. */
async function serveAnother(): Promise<void> {
  await using client = await connectSync(server.url, 2);
  await client.receives("presence_state");
}

/** What the native engine does with an incomplete message: it waits for the rest. */
async function completes(peer: Peer, rest: Uint8Array): Promise<string> {
  await serveAnother();
  deepEqual([peer.isEnded, peer.frames.includes("error")], [false, false]);
  const before = peer.frames.length;
  await peer.write(rest);
  await isAnswered(peer, before);
  return "is kept until it is complete";
}

row("sends a message above 64 KiB", async (peer) => {
  const bytes = frame(question(CLIENT_MESSAGE_BYTES_MAX + 1));
  await peer.write(bytes.subarray(0, 1_000));
  if (ENGINE === "ws") {
    return `${await peer.ending()}, as soon as its length is known`;
  }
  await serveAnother();
  equal(peer.isEnded, false);
  await peer.write(bytes.subarray(1_000));
  return `${await peer.ending()}, once it is complete`;
});

row("sends a message in more than 64 fragments", async (peer) => {
  const parts = question(2 * CLIENT_FRAGMENTS_MAX).split("");
  const fragment = (text: string, more: FrameOptions = {}) =>
    frame(text, { opcode: OPCODE.continuation, isFinal: false, ...more });
  await peer.write(
    ...parts.map((text, n) => fragment(text, n === 0 ? { opcode: 1 } : {})),
  );
  if (ENGINE === "ws") return await peer.ending();
  return await completes(peer, fragment("", { isFinal: true }));
});

row("sends a frame in more than 512 pieces", async (peer) => {
  const bytes = frame(question(30_000));
  let at = 0;
  // A pause, so that the server reads most bytes alone.
  for (; at < bytes.length - 1 && !peer.isEnded; at++) {
    if (ENGINE === "native" && at > 2 * CLIENT_PIECES_MAX) break;
    await peer.write(bytes.subarray(at, at + 1));
    await pause(1);
    if (peer.frames.some((text) => text.startsWith("close"))) break;
  }
  if (ENGINE === "ws") return await peer.ending();
  return await completes(peer, bytes.subarray(at));
});

row(
  "sends more than 20 pings or pongs at once, or 5 a second in the long run",
  async (peer) => {
    const count = 2 * CONTROL_FRAMES_MAX;
    const pings = Array.from(
      { length: count },
      () => frame("x", { opcode: OPCODE.ping }),
    );
    await peer.write(...pings);
    if (ENGINE === "ws") return await peer.ending();
    const pongs = () => peer.frames.filter((text) => text === "pong").length;
    await until("all pings are answered", () => pongs() === count);
    return "each is answered";
  },
);

row("sends a frame that is not masked", async (peer) => {
  const before = peer.frames.length;
  await peer.write(frame(question(20), { isMasked: false }));
  if (ENGINE === "ws") return await peer.ending();
  await isAnswered(peer, before);
  return "is accepted";
});

row("sends text that is not UTF-8", async (peer) => {
  await peer.write(frame(Uint8Array.of(0xc3, 0x28)));
  return await peer.ending();
});

row("does not answer a close", async (peer) => {
  await peer.write(...Array.from({ length: 30 }, () => frame("{")));
  equal(await peer.ending(), "1008 `too many messages`");
  const closedAt = Date.now();
  if (ENGINE === "ws") {
    await until("the socket ends", () => peer.isEnded);
    ok(Date.now() - closedAt > CLOSE_ANSWER_MS - 1_000);
    return `the socket ends after ${CLOSE_ANSWER_MS / 1_000} s`;
  }
  await pause(CLOSE_ANSWER_MS + 1_000);
  equal(peer.isEnded, false);
  return "the socket stays open";
});

row(
  "is silent for 30 s",
  (peer) => peer.ending(IDLE_TIMEOUT_SECONDS * 1_000 + 5 * PEER_CHECK_MS),
);

row("resets its connection before the 101", async () => {
  const url = socketUrl(server.url, await tokenFor(3));
  const before = servedDescriptors(server.pid);
  const reset = async () => {
    for (let n = 0; n < 10; n++) await resetHandshake(url);
  };
  if (ENGINE === "native") {
    await until("a descriptor is lost", async () => {
      await reset();
      await serveAnother();
      return servedDescriptors(server.pid) > before + 1;
    });
    return "a descriptor is lost";
  }
  for (let n = 0; n < 10; n++) await reset();
  await until(
    "the descriptors are free",
    () => servedDescriptors(server.pid) <= before,
  );
  return "nothing is left";
});

Deno.test("each row about a peer has a test", () => {
  deepEqual([...documented.keys()].sort(), [...tested].sort());
});
