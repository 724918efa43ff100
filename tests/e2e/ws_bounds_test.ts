/**
 * What the socket engine `ws` bounds and the native one does not, with numbers that a native server
 * would not survive. After each attack a normal client is served as before, and the server has as
 * many descriptors as before.
 */
import { ok } from "node:assert/strict";
import { HEADERS_TIMEOUT_MS, REQUEST_CHECK_MS } from "../../src/http/limits.ts";
import {
  CLOSE_ANSWER_MS,
  IDLE_TIMEOUT_SECONDS,
  PEER_CHECK_MS,
} from "../../src/socket/limits.ts";
import { attacksOn, MIB, write } from "../support/attack.ts";
import { socketUrl, tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { frame, OPCODE } from "../support/frames.ts";
import { MEASURED_HEAP } from "../support/heap.ts";
import { servedDescriptors } from "../support/process.ts";
import {
  handshakeText,
  rawHandshake,
  type RawSocket,
  resetHandshake,
} from "../support/raw_socket.ts";
import { sharedServer, startServerOn } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();

const server = sharedServer(() =>
  startServerOn(postgres.database(50), {
    SOCKET_ENGINE: "ws",
    MAX_CONNECTIONS_PER_USER: "2000",
    MAX_FAILED_TOKENS_PER_MINUTE: "1000000",
  }, { permissions: MEASURED_HEAP })
);
const { attacker, attack } = attacksOn(server);

/** Attackers with a token of user 1, and without one that is valid. */
const ATTACKERS: readonly (() => Promise<RawSocket>)[] = [
  () => attacker(),
  () =>
    rawHandshake(server.url, {
      "Sec-WebSocket-Protocol": "rollcall.v2, bearer.none",
    }),
];

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

/** An attack by each attacker at once. The server ends each of them before it has written it all. */
function endsPeers(
  what: string,
  start: Uint8Array,
  next: Uint8Array,
  bytesMax: number,
): void {
  attack(
    `ws ends peers with and without a token that send ${what}`,
    async () => {
      await Promise.all(ATTACKERS.map(async (connect) => {
        using raw = await connect();
        await write(raw, start);
        const written = await writeUntilEnded(raw, next, bytesMax);
        ok(written < bytesMax, "all was accepted");
      }));
    },
  );
}

endsPeers(
  "endless fragments",
  frame("x", { isFinal: false }),
  frame("x".repeat(1_000), { opcode: OPCODE.continuation, isFinal: false }),
  64 * MIB,
);

endsPeers(
  "half of a frame of 60 MiB",
  frame("", { length: 60 * MIB }),
  new Uint8Array(MIB),
  59 * MIB,
);

const PING = frame("ping", { opcode: OPCODE.ping });
const PINGS = new Uint8Array(1_000 * PING.length);
for (let n = 0; n < 1_000; n++) PINGS.set(PING, n * PING.length);
endsPeers("a million pings", PING, PINGS, 1_000 * PINGS.length);

const SLOW_PEERS = 50;

attack(
  "ws ends peers that do not read, do not answer, or send a byte a second",
  async () => {
    const before = servedDescriptors(server.pid);
    const peers: RawSocket[] = [];
    const writers: RawSocket[] = [];
    for (const connect of ATTACKERS) {
      for (let n = 0; n < SLOW_PEERS; n++) {
        // It does not read, and answers no ping.
        peers.push(await connect());
        // It does not answer the close.
        const rude = await connect();
        await write(rude, ...Array.from({ length: 30 }, () => frame("{")));
        // It begins a message that it never ends.
        const writer = await connect();
        await write(writer, frame("", { length: 60_000 }));
        peers.push(rude, writer);
        writers.push(writer);
      }
    }
    const byte = new Uint8Array(1);
    const sending = setInterval(() => {
      for (const { conn } of writers) void conn.write(byte).catch(() => {});
    }, 1_000);
    try {
      await until(
        "the server has ended all of them",
        // Normal clients come and go meanwhile.
        () => servedDescriptors(server.pid) < before + 5,
        IDLE_TIMEOUT_SECONDS * 1_000 + CLOSE_ANSWER_MS + 5 * PEER_CHECK_MS,
      );
    } finally {
      clearInterval(sending);
      for (const peer of peers) peer[Symbol.dispose]();
    }
  },
);

attack("ws ends requests whose headers come one byte a second", async () => {
  const { hostname, port } = new URL(server.url);
  const head = handshakeText(server.url, "/ws").slice(0, -2) + "A:";
  const byte = new TextEncoder().encode("a");
  const conns = await Promise.all(
    Array.from({ length: SLOW_PEERS }, async () => {
      const conn = await Deno.connect({ hostname, port: Number(port) });
      await conn.write(new TextEncoder().encode(head));
      return conn;
    }),
  );
  const sending = setInterval(() => {
    for (const conn of conns) void conn.write(byte).catch(() => {});
  }, 1_000);
  let open = conns.length;
  for (const conn of conns) {
    void new Response(conn.readable).text().catch(() => "").then(() => open--);
  }
  try {
    await until(
      "the server has ended all of them",
      () => open === 0,
      HEADERS_TIMEOUT_MS + 5 * REQUEST_CHECK_MS,
    );
  } finally {
    clearInterval(sending);
    for (const conn of conns) {
      try {
        conn.close();
      } catch {
        // Its stream has closed it.
      }
    }
  }
});

attack(
  "ws leaks nothing of 5,000 peers that reset the handshake, with and without a token",
  async () => {
    const token = await tokenFor(1);
    const urls = [socketUrl(server.url, token), socketUrl(server.url, "none")];
    const work = async (nth: number) => {
      for (let n = 0; n < 500; n++) {
        await resetHandshake(urls[nth % 2] ?? "");
      }
    };
    await Promise.all(Array.from({ length: 10 }, (_, nth) => work(nth)));
  },
);
