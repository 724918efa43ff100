import { deepEqual, equal, ok } from "node:assert/strict";
import { FRAMES_KEPT_BYTES_MAX } from "../../../src/socket/limits.ts";
import { TextFrames } from "../../../src/socket/ws_frames.ts";
import { frame } from "../../support/frames.ts";

for (const length of [0, 1, 125, 126, 65_535, 65_536, 70_000]) {
  Deno.test(`a text of ${length} bytes is one unmasked frame`, () => {
    const text = "x".repeat(length);
    const expected = frame(text, { isMasked: false });
    deepEqual(
      new Uint8Array(new TextFrames().of(text)),
      new Uint8Array(expected),
    );
  });
}

Deno.test("the length of a frame counts bytes and not characters", () => {
  const text = "\u{1f600}\u00e9".repeat(40);
  const expected = frame(text, { isMasked: false });
  deepEqual(
    new Uint8Array(new TextFrames().of(text)),
    new Uint8Array(expected),
  );
});

Deno.test("a text that many sockets are sent is encoded once", () => {
  const frames = new TextFrames();
  const first = frames.of("a");
  frames.of("b");
  for (let n = 0; n < 1_000; n++) equal(frames.of("a"), first);
  equal(frames.encoded, 2);
});

Deno.test("[L1] the frames that are kept have at most FRAMES_KEPT_BYTES_MAX bytes", () => {
  const frames = new TextFrames();
  const bytes = 100_000;
  const most = Math.floor(FRAMES_KEPT_BYTES_MAX / bytes);
  for (let n = 0; n < 10 * most; n++) {
    frames.of(String(n).padStart(bytes, "x"));
    ok(frames.keptBytes <= FRAMES_KEPT_BYTES_MAX);
  }
});
