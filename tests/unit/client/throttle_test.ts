/** How often a client sends a watch, whatever the wall clock does. */
import { deepEqual } from "node:assert/strict";
import { Throttle } from "../../../src/client/throttle.ts";
import { FakePlatform } from "./fake_platform.ts";

for (const setMs of [-3_600_000, -20_000, 3_600_000]) {
  Deno.test(`[L1] with the wall clock set by ${setMs} ms, watches are sent as if nothing had happened`, async () => {
    const platform = new FakePlatform();
    const throttle = new Throttle(platform);
    const sentAt: number[] = [];
    const send = () => void sentAt.push(platform.clock.now());
    for (let n = 0; n < 10; n++) throttle.run(send);
    platform.wallAheadMs += setMs;
    throttle.run(send);
    await platform.clock.advance(500);
    throttle.run(send);
    await platform.clock.advance(500);
    deepEqual(sentAt, [...Array(10).fill(0), 500, 1_000]);
  });
}
