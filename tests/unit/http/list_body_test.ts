import { deepEqual, equal, ok } from "node:assert/strict";
import {
  SLOW_CONSUMER_BYTES_PER_SECOND_MIN,
  SLOW_CONSUMER_MS,
} from "../../../src/core/fanout/limits.ts";
import { LIST_PIECE_BYTES } from "../../../src/http/limits.ts";
import { inPieces } from "../../../src/http/list_body.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const MIB = 1_048_576;
const SECONDS = 10;
const LENGTH = SECONDS * SLOW_CONSUMER_BYTES_PER_SECOND_MIN + 1;
const bytes = Uint8Array.from({ length: LENGTH }, (_, at) => at % 251);

Deno.test("[S3] a long body is made as it is read, and never copied", async () => {
  const clock = new FakeClock();
  const reader = inPieces(bytes, clock).getReader();
  const pieces: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    ok(value.length <= LIST_PIECE_BYTES);
    equal(value.buffer, bytes.buffer);
    pieces.push(value);
  }
  deepEqual(
    new Uint8Array(await new Blob(pieces.map((p) => p.slice())).arrayBuffer()),
    bytes,
  );
  await clock.advance(1_000_000);
});

Deno.test("[S3] a body that is not read in time ends early", async () => {
  const clock = new FakeClock();
  const reader = inPieces(bytes, clock).getReader();
  await reader.read();
  await clock.advance(SLOW_CONSUMER_MS + SECONDS * 1_000);
  equal((await reader.read()).done, false);
  await clock.advance(1_000);
  equal((await reader.read()).done, true);
});

Deno.test("[S3] a body whose peer leaves has no deadline any more", async () => {
  const clock = new FakeClock();
  const reader = inPieces(bytes, clock).getReader();
  await reader.read();
  await reader.cancel();
  await clock.advance(1_000_000);
});

Deno.test("[S3] Deno cuts the connection of a reader whose time is over as soon as it reads on", async () => {
  const clock = new FakeClock();
  // More than the kernel's buffers take.
  const long = new Uint8Array(100 * MIB);
  const asked = Promise.withResolvers<void>();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => {
      asked.resolve();
      const headers = { "content-length": String(long.length) };
      return new Response(inPieces(long, clock), { headers });
    },
  );
  const { hostname, port } = server.addr;
  using conn = await Deno.connect({ hostname, port });
  const request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  await conn.write(new TextEncoder().encode(request));
  await asked.promise;
  await clock.advance(100_000_000);
  let total = 0;
  const chunk = new Uint8Array(MIB);
  for (;;) {
    // A connection that is cut ends, or is reset.
    const size = await conn.read(chunk).catch(() => null);
    if (size === null) break;
    total += size;
  }
  ok(total < long.length, `${total} bytes`);
});
