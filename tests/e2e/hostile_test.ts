/**
 * Hostile peers, over raw TCP. After each attack a normal client is served as before, the server
 * has as many descriptors as before, and its log has no error.
 */
import { deepEqual, ok } from "node:assert/strict";
import { attacksOn, isEnded, MIB, write } from "../support/attack.ts";
import { open, tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { damagedMessage } from "../support/fuzz.ts";
import { closeFrame, frame, OPCODE } from "../support/frames.ts";
import { MEASURED_HEAP } from "../support/heap.ts";
import { randomFrom } from "../support/random.ts";
import { rawHandshake } from "../support/raw_socket.ts";
import { sharedServer, startServerOn } from "../support/server.ts";

const postgres = postgresForThisFile();
const FUZZ_INPUTS = 25_000;
const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);

const server = sharedServer(() =>
  startServerOn(postgres.database(50), {
    MAX_CONNECTIONS_PER_USER: "2000",
    MAX_FAILED_TOKENS_PER_MINUTE: "1000000",
  }, { permissions: MEASURED_HEAP })
);

const { attacker, attack } = attacksOn(server);

const ENDED_BY_SERVER: Record<string, () => Uint8Array[]> = {
  "a reserved bit": () => [frame("hi", { reserved: 1 })],
  "a reserved opcode": () => [frame("hi", { opcode: 3 })],
  "a reserved control opcode": () => [frame("hi", { opcode: 11 })],
  "a fragmented ping":
    () => [frame("hi", { opcode: OPCODE.ping, isFinal: false })],
  "a ping of 126 bytes":
    () => [frame("x".repeat(126), { opcode: OPCODE.ping })],
  "text that is not UTF-8": () => [frame(new Uint8Array([0xc3, 0x28]))],
  "half a code point at the end": () => [frame(new Uint8Array([0xe2, 0x82]))],
  "a close frame of one byte":
    () => [frame(new Uint8Array([3]), { opcode: OPCODE.close })],
  "close code 1005": () => [closeFrame(1005)],
  "close code 999": () => [closeFrame(999)],
  "close code 65535": () => [closeFrame(65_535)],
  "a close reason that is not UTF-8": () => [
    frame(new Uint8Array([3, 232, 0xc3, 0x28]), { opcode: OPCODE.close }),
  ],
  "a frame that claims 2^62 bytes":
    () => [frame("hi", { length: 2 ** 53 - 1 })],
  "a text above the limit": () => [frame("x".repeat(70_000))],
  "many bad messages": () => Array.from({ length: 30 }, () => frame("{")),
};
attack("peers that break the protocol, each in another way", async () => {
  const kept: string[] = [];
  const perform = async ([name, frames]: [string, () => Uint8Array[]]) => {
    using raw = await attacker();
    await write(raw, ...frames());
    if (!await isEnded(raw)) kept.push(name);
  };
  await Promise.all(Object.entries(ENDED_BY_SERVER).map(perform));
  deepEqual(kept, [], "the server keeps these connections");
});

attack("a frame of 64 MiB and one byte", async () => {
  using raw = await attacker();
  const part = new Uint8Array(MIB);
  await write(
    raw,
    frame("", { length: 64 * MIB + 1 }),
    ...Array(64).fill(part),
  );
  ok(await isEnded(raw));
}, 160 * MIB);

attack("a message of 32 MiB", async () => {
  using raw = await attacker();
  const part = new Uint8Array(MIB).fill(120);
  await write(raw, frame("", { length: 32 * MIB }), ...Array(32).fill(part));
  ok(await isEnded(raw));
}, 160 * MIB);

attack("a flood of pings", async () => {
  using raw = await attacker();
  const ping = frame("ping", { opcode: OPCODE.ping });
  const pings = new Uint8Array(1_000 * ping.length);
  for (let n = 0; n < 1_000; n++) pings.set(ping, n * ping.length);
  for (let n = 0; n < 50; n++) await write(raw, pings);
});

attack("a flood of tiny fragments", async () => {
  using raw = await attacker();
  const first = frame("x", { isFinal: false });
  const next = frame("x", { opcode: OPCODE.continuation, isFinal: false });
  const many = new Uint8Array(1_000 * next.length);
  for (let n = 0; n < 1_000; n++) many.set(next, n * next.length);
  await write(raw, first);
  for (let n = 0; n < 100; n++) await write(raw, many);
});

attack(
  "a hundred peers that never answer pings or closes, and never read",
  async () => {
    const mutes = await Promise.all(
      Array.from({ length: 100 }, () => attacker()),
    );
    for (const mute of mutes) await write(mute, frame("{"), frame("{"));
    await using _other = await open(server.url, 3);
    for (const mute of mutes) mute[Symbol.dispose]();
  },
);

attack("two hundred half handshakes", async () => {
  const halves = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const { hostname, port } = new URL(server.url);
      const conn = await Deno.connect({ hostname, port: Number(port) });
      await conn.write(
        new TextEncoder().encode("GET /ws HTTP/1.1\r\nHost: x\r\nUpg"),
      );
      return conn;
    }),
  );
  for (const conn of halves) conn.close();
});

attack("a hundred handshakes whose peer leaves before the answer", async () => {
  for (let n = 0; n < 100; n++) {
    const raw = await rawHandshake(server.url, {
      "Sec-WebSocket-Protocol": `rollcall.v2, bearer.${await tokenFor(1)}`,
    }, "no answer");
    raw[Symbol.dispose]();
  }
});

attack("endless headers", async () => {
  const { hostname, port } = new URL(server.url);
  using conn = await Deno.connect({ hostname, port: Number(port) });
  const line = new TextEncoder().encode(`X-Bomb: ${"b".repeat(8_000)}\r\n`);
  await conn.write(new TextEncoder().encode("GET /ws HTTP/1.1\r\nHost: x\r\n"));
  let isRefused = false;
  for (let n = 0; n < 1_000 && !isRefused; n++) {
    isRefused = await conn.write(line).then(() => false, () => true);
  }
  ok(isRefused, "8 MB of headers were accepted");
});

attack("handshakes with malformed offers", async () => {
  const offers = [
    "rollcall.v2\x01",
    ",,,,",
    "bearer.",
    `rollcall.v2, bearer.${"x".repeat(20_000)}`,
    "rollcall.v2, ".repeat(1_000),
    "ROLLCALL.V2",
    "rollcall.v2;q=1",
  ];
  for (const offer of offers) {
    using raw = await rawHandshake(server.url, {
      "Sec-WebSocket-Protocol": offer,
    });
    const shown = JSON.stringify(offer.slice(0, 30));
    ok([400, 101].includes(raw.status), `${shown}: ${raw.status}`);
  }
});

attack("two thousand sockets that open and close", async () => {
  for (let round = 0; round < 20; round++) {
    const clients = await Promise.all(
      Array.from({ length: 100 }, (_, n) => open(server.url, 3 + n % 40)),
    );
    await Promise.all(clients.map((client) => client.close()));
  }
});

/** Damaged messages in frames that may be damaged as well. */
function* inputs(random: () => number): Generator<Uint8Array> {
  for (let n = 0; n < FUZZ_INPUTS; n++) {
    const bytes = frame(damagedMessage(random), {
      opcode: random() < 0.9 ? OPCODE.text : Math.floor(random() * 16),
      isFinal: random() < 0.97,
      reserved: random() < 0.99 ? 0 : 1 + Math.floor(random() * 7),
      isMasked: random() < 0.99,
    });
    if (random() < 0.05) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    }
    yield bytes;
  }
}

attack(`${FUZZ_INPUTS} damaged messages and frames, seed ${SEED}`, async () => {
  const source = inputs(randomFrom(SEED));
  const work = async () => {
    for (let next = source.next(); !next.done;) {
      using raw = await attacker();
      // No more bad messages than the rate limit of a connection allows.
      for (let n = 0; n < 5 && !next.done; n++, next = source.next()) {
        await write(raw, next.value);
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, work));
});
