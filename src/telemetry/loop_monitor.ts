/**
 * The loop monitor measures how long the event loop was blocked lately.
 *
 * A timer that fires late shows it: every socket, request and timer waited as long. It does not
 * know what blocked the loop.
 *
 * @module
 */
import { LOOP_LAG_WINDOWS, LOOP_PROBE_MS } from "./limits.ts";

export class LoopMonitor {
  /** The delay of each of the last probes in milliseconds, newest last. */
  #delaysMs: number[] = [0];
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param now Milliseconds. */
  start(now = () => performance.now()): void {
    let expectedAt = now() + LOOP_PROBE_MS;
    this.#timer = setInterval(() => {
      const at = now();
      this.#delaysMs.push(Math.max(0, at - expectedAt));
      this.#delaysMs = this.#delaysMs.slice(-LOOP_LAG_WINDOWS);
      expectedAt = at + LOOP_PROBE_MS;
    }, LOOP_PROBE_MS);
  }

  /** The longest delay of the last ten seconds, in milliseconds. */
  get lagMs(): number {
    return Math.max(...this.#delaysMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
