/**
 * Attacks on a server, and the checks that it is afterwards as before.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { tokenFor } from "./client.ts";
import { heldBytes } from "./heap.ts";
import { residentBytes, servedDescriptors } from "./process.ts";
import { rawHandshake, type RawSocket } from "./raw_socket.ts";
import type { TestServer } from "./server.ts";
import { connectSync } from "./sync_client.ts";
import { pause, until } from "./until.ts";

export const MIB = 1_048_576;

/** A peer that may break the protocol. Its token is of user 1. */
export type Attacker = (
  version?: "rollcall.v1" | "rollcall.v2",
) => Promise<RawSocket>;

/** Registers a test that runs an attack, and then checks that the server is as before. */
export type Attack = (
  name: string,
  perform: () => Promise<void>,
  residentMax?: number,
) => void;

/** Writes until the server accepts no more. */
export async function write(
  raw: RawSocket,
  ...chunks: Uint8Array[]
): Promise<void> {
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      const written = await raw.conn.write(chunk.subarray(at)).catch(() => 0);
      if (written === 0) return;
      at += written;
    }
  }
}

/** Whether the server ends the connection within 10 seconds, with or without a close frame. */
export async function isEnded(raw: RawSocket): Promise<boolean> {
  const buffer = new Uint8Array(65_536);
  const timer = setTimeout(() => raw[Symbol.dispose](), 10_000);
  try {
    while (true) {
      const size = await raw.conn.read(buffer);
      // 0x88 starts a close frame. Everything else that the server sends here is ASCII.
      if (size === null || buffer.subarray(0, size).includes(0x88)) return true;
    }
  } catch (err) {
    return err instanceof Deno.errors.ConnectionReset;
  } finally {
    clearTimeout(timer);
  }
}

/** Bytes that an attack may leave in the heap: tables that have grown, and code that was compiled. */
const HELD_BYTES_MAX = 8 * MIB;

/** Resident memory that an attack may cost. The allocator keeps some of what was freed. */
const RESIDENT_BYTES_MAX = 64 * MIB;

/** Time after an attack until the server has freed what it held for it. */
const GONE_MS = 30_000;

/**
 * Half of the normal clients wait at most this much longer than without the attack. Handshakes that
 * came before wait with them: up to 511, the system's queue of a listener, on a busy machine.
 */
const DELAY_MS_MAX = 5_000;

/** Connects normal clients, one after another, while this goes on. Returns how long half of them took. */
async function medianWaitMs(
  url: string,
  meanwhile: Promise<void>,
): Promise<number> {
  const waits: number[] = [];
  let isOver = false;
  const ended = meanwhile.finally(() => isOver = true);
  // An attack that fails while a client connects is reported below.
  ended.catch(() => {});
  while (!isOver || waits.length < 5) {
    const startedAt = performance.now();
    await using client = await connectSync(url, 49);
    await client.receives("presence_state");
    waits.push(performance.now() - startedAt);
    if (!isOver) await Promise.race([ended, pause(20)]);
  }
  await ended;
  return waits.sort((a, b) => a - b)[Math.floor(waits.length / 2)] ?? 0;
}

/** The tools for attacks on a server with `MEASURED_HEAP`, which users 1 to 50 can connect to. */
export function attacksOn(
  server: Pick<TestServer, "url" | "pid" | "log">,
): { readonly attacker: Attacker; readonly attack: Attack } {
  const attacker: Attacker = async (version = "rollcall.v2") =>
    await rawHandshake(server.url, {
      "Sec-WebSocket-Protocol": `${version}, bearer.${await tokenFor(1)}`,
    });
  const attack: Attack = (name, perform, residentMax = RESIDENT_BYTES_MAX) => {
    Deno.test(`[L1] hostile: ${name}`, async () => {
      await using watcher = await connectSync(server.url, 50);
      await watcher.holds([50]);
      const aloneMs = await medianWaitMs(server.url, Promise.resolve());
      const held = await heldBytes(server);
      const resident = residentBytes(server.pid);
      const descriptors = servedDescriptors(server.pid);
      const besideMs = await medianWaitMs(server.url, perform());
      await until(
        "the attackers are gone",
        () => servedDescriptors(server.pid) <= descriptors,
        GONE_MS,
      );
      await watcher.holds([50]);
      // Timers of connections that have ended hold some of them for seconds.
      let heldMore = Infinity;
      await until("the heap holds no more than before", async () => {
        heldMore = await heldBytes(server) - held;
        return heldMore < HELD_BYTES_MAX;
      }, GONE_MS).catch(() => {});
      const residentMore = residentBytes(server.pid) - resident;
      print(
        `held ${mib(heldMore)}, resident ${
          mib(residentMore)
        }, normal clients ${besideMs.toFixed()} ms, alone ${aloneMs.toFixed()} ms: ${name}`,
      );
      ok(heldMore < HELD_BYTES_MAX, `the heap holds ${mib(heldMore)} more`);
      ok(residentMore < residentMax, `grew by ${mib(residentMore)}`);
      ok(
        besideMs < DELAY_MS_MAX + 3 * aloneMs,
        `normal clients waited ${besideMs.toFixed()} ms, alone ${aloneMs.toFixed()} ms`,
      );
      equal(watcher.socket.readyState, WebSocket.OPEN);
      const errors = server.log.filter((line) =>
        /"level":"(error|fatal)"| {4}at /.test(line)
      );
      deepEqual(errors, []);
    });
  };
  return { attacker, attack };
}

const mib = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`;

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}
