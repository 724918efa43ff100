/**
 * Attacks on a server, and the checks that it is afterwards as before.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { open, tokenFor } from "./client.ts";
import { residentBytes, servedDescriptors } from "./process.ts";
import { rawHandshake, type RawSocket } from "./raw_socket.ts";
import type { TestServer } from "./server.ts";
import { connectSync } from "./sync_client.ts";
import { until } from "./until.ts";

export const MIB = 1_048_576;

/** A peer that may break the protocol. Its token is of user 1. */
export type Attacker = (
  version?: "rollcall.v1" | "rollcall.v2",
) => Promise<RawSocket>;

/** Registers a test that runs an attack, and then checks that the server is as before. */
export type Attack = (
  name: string,
  perform: () => Promise<void>,
  grownBytesMax?: number,
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

/** The shortest of five: a busy machine makes some of them wait, the server none. */
async function quickestOpenMs(url: string): Promise<number> {
  let quickestMs = Infinity;
  for (let n = 0; n < 5; n++) {
    const startedAt = performance.now();
    await using client = await open(url, 2);
    quickestMs = Math.min(quickestMs, performance.now() - startedAt);
    equal(client.socket.readyState, WebSocket.OPEN);
  }
  return quickestMs;
}

/** The tools for attacks on a server, which users 1, 2 and 50 can connect to. */
export function attacksOn(
  server: Pick<TestServer, "url" | "pid" | "log">,
): { readonly attacker: Attacker; readonly attack: Attack } {
  const attacker: Attacker = async (version = "rollcall.v2") =>
    await rawHandshake(server.url, {
      "Sec-WebSocket-Protocol": `${version}, bearer.${await tokenFor(1)}`,
    });
  const attack: Attack = (name, perform, grownBytesMax = 64 * MIB) => {
    Deno.test(`[L1] hostile: ${name}`, async () => {
      await using watcher = await connectSync(server.url, 50);
      await watcher.holds([50]);
      const descriptors = servedDescriptors(server.pid);
      const memory = residentBytes(server.pid);
      await perform();
      const waitedMs = await quickestOpenMs(server.url);
      ok(waitedMs < 100, `normal clients waited ${waitedMs.toFixed()} ms`);
      await until(
        "the attackers are gone",
        () => servedDescriptors(server.pid) <= descriptors,
        30_000,
      );
      await watcher.holds([50]);
      const grown = residentBytes(server.pid) - memory;
      ok(grown < grownBytesMax, `grew by ${Math.round(grown / MIB)} MiB`);
      const errors = server.log.filter((line) =>
        /"level":"(error|fatal)"| {4}at /.test(line)
      );
      deepEqual(errors, []);
    });
  };
  return { attacker, attack };
}
