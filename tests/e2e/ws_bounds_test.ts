/**
 * What the socket engine `ws` bounds and the native one does not. After each attack a normal client
 * is served as before, and the server has as many descriptors as before.
 */
import { equal, ok } from "node:assert/strict";
import { HEADERS_TIMEOUT_MS, REQUEST_CHECK_MS } from "../../src/http/limits.ts";
import { CLOSE } from "../../src/client/protocol/close.ts";
import {
  CLIENT_MESSAGE_BYTES_MAX,
  IDLE_TIMEOUT_SECONDS,
} from "../../src/socket/limits.ts";
import { attacksOn, isEnded, MIB, write } from "../support/attack.ts";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { metrics } from "../support/endpoints.ts";
import { frame, OPCODE } from "../support/frames.ts";
import { residentBytes } from "../support/process.ts";
import { rawHandshake, type RawSocket } from "../support/raw_socket.ts";
import { sharedServer, startServerOn } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();

const server = sharedServer(() =>
  startServerOn(postgres.database(50), {
    SOCKET_ENGINE: "ws",
    // Every collection is a full one, so that memory shows what is held and not when V8 collected.
    DENO_V8_FLAGS: "--gc-global",
    MAX_CONNECTIONS_PER_USER: "2000",
    MAX_FAILED_TOKENS_PER_MINUTE: "1000000",
  })
);
const { attacker, attack } = attacksOn(server);

/** What an attack may leave behind in the heap of the server until it is collected. */
const GARBAGE_BYTES_MAX = 64 * MIB;

/** An attacker with a token of user 1, or without one that is valid. */
const ATTACKERS: Record<string, () => Promise<RawSocket>> = {
  "with a token": () => attacker(),
  "without a token": () =>
    rawHandshake(server.url, {
      "Sec-WebSocket-Protocol": "rollcall.v2, bearer.none",
    }),
};

/** The code of a close frame that the server sends within 10 seconds. */
async function closeCode(raw: RawSocket): Promise<number | undefined> {
  const timer = setTimeout(() => raw[Symbol.dispose](), 10_000);
  let bytes = raw.rest;
  const chunk = new Uint8Array(65_536);
  try {
    while (true) {
      const at = bytes.indexOf(0x88);
      if (at >= 0 && bytes.length >= at + 4) {
        return new DataView(bytes.buffer, bytes.byteOffset).getUint16(at + 2);
      }
      const size = await raw.conn.read(chunk);
      if (size === null) return undefined;
      bytes = new Uint8Array([...bytes, ...chunk.subarray(0, size)]);
    }
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** Writes until the server ends the connection, at most this many bytes. Returns how many it took. */
async function writeUntilEnded(
  raw: RawSocket,
  chunk: Uint8Array,
  bytesMax: number,
): Promise<number> {
  let written = 0;
  while (written < bytesMax) {
    const size = await raw.conn.write(chunk).catch(() => 0);
    if (size === 0) break;
    written += size;
  }
  return written;
}

for (const [who, connect] of Object.entries(ATTACKERS)) {
  attack(`ws ends endless fragments ${who}`, async () => {
    using raw = await connect();
    await write(raw, frame("x", { isFinal: false }));
    const next = frame("x".repeat(1_000), {
      opcode: OPCODE.continuation,
      isFinal: false,
    });
    const most = 64 * MIB;
    ok(await writeUntilEnded(raw, next, most) < most, "all was accepted");
  }, GARBAGE_BYTES_MAX);

  attack(`ws keeps nothing of half a frame of 60 MiB ${who}`, async () => {
    using raw = await connect();
    await write(raw, frame("", { length: 60 * MIB }));
    const most = 59 * MIB;
    const part = new Uint8Array(MIB);
    ok(await writeUntilEnded(raw, part, most) < most, "all was accepted");
  }, GARBAGE_BYTES_MAX);

  attack(`ws ends a peer that sends a million pings ${who}`, async () => {
    using raw = await connect();
    const ping = frame("ping", { opcode: OPCODE.ping });
    const pings = new Uint8Array(1_000 * ping.length);
    for (let n = 0; n < 1_000; n++) pings.set(ping, n * ping.length);
    const most = 1_000 * pings.length;
    ok(await writeUntilEnded(raw, pings, most) < most, "all was accepted");
  }, GARBAGE_BYTES_MAX);
}

attack(
  "ws closes with 1009 at one byte more than a message may have",
  async () => {
    using raw = await attacker();
    await write(raw, frame("x".repeat(CLIENT_MESSAGE_BYTES_MAX + 1)));
    equal(await closeCode(raw), CLOSE.messageTooBig.code);
  },
);

attack("ws closes with 1002 on a frame that is not masked", async () => {
  using raw = await attacker();
  await write(raw, frame("hi", { isMasked: false }));
  equal(await closeCode(raw), CLOSE.protocolError.code);
});

attack("ws ends a peer that never answers a close", async () => {
  using raw = await attacker();
  await write(raw, ...Array.from({ length: 30 }, () => frame("{")));
  equal(await closeCode(raw), CLOSE.policy.code);
  ok(await isEnded(raw), "the server keeps the connection");
});

attack(
  "ws frees a hundred peers that never read and never answer a ping",
  async () => {
    const mutes = await Promise.all(
      Array.from({ length: 100 }, () => attacker()),
    );
    const ended = async () => {
      const values = await metrics(server);
      return (values.get("rollcall_v2_connections") ?? 0) <= 1;
    };
    await until(
      "the mute peers are terminated",
      ended,
      2 * IDLE_TIMEOUT_SECONDS * 1_000,
    );
    for (const mute of mutes) mute[Symbol.dispose]();
  },
);

attack(
  "ws leaks nothing of 10,000 peers that reset the handshake",
  async () => {
    const token = await tokenFor(1);
    const headers = {
      "Sec-WebSocket-Protocol": `rollcall.v2, bearer.${token}`,
    };
    const reset = async (times: number) => {
      for (let n = 0; n < times; n++) {
        const raw = await rawHandshake(server.url, headers, "no answer");
        raw[Symbol.dispose]();
      }
    };
    // The heap grows to the size that so many requests need.
    await reset(5_000);
    const before = residentBytes(server.pid);
    await reset(5_000);
    const grown = residentBytes(server.pid) - before;
    ok(grown < 32 * MIB, `grew by ${(grown / MIB).toFixed()} MiB`);
  },
  4 * GARBAGE_BYTES_MAX,
);

attack("ws ends a request whose headers come one byte a second", async () => {
  const { hostname, port } = new URL(server.url);
  using conn = await Deno.connect({ hostname, port: Number(port) });
  const head = new TextEncoder().encode("GET /ws HTTP/1.1\r\nHost: x\r\nA:");
  await conn.write(head);
  const byte = new TextEncoder().encode("a");
  let isOpen = true;
  const sending = setInterval(
    () => void conn.write(byte).catch(() => isOpen = false),
    1_000,
  );
  try {
    const buffer = new Uint8Array(1_024);
    const read = async () => {
      while (await conn.read(buffer).catch(() => null) !== null);
      isOpen = false;
    };
    void read();
    const mostMs = HEADERS_TIMEOUT_MS + REQUEST_CHECK_MS + 5_000;
    await until("the server ends the connection", () => !isOpen, mostMs);
  } finally {
    clearInterval(sending);
  }
});
