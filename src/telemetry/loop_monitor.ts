/**
 * How long the event loop was stuck lately: whatever waits for a turn waited so long.
 *
 * @module
 */
import { LOOP_LAG_WINDOWS, LOOP_PROBE_MS } from "../base/limits.ts";

export class LoopMonitor {
  /** The worst of each of the last windows, newest last. */
  #worst: number[] = [0];
  #timer: ReturnType<typeof setInterval> | undefined;

  start(now = () => performance.now()): void {
    let expectedAt = now() + LOOP_PROBE_MS;
    this.#timer = setInterval(() => {
      const at = now();
      this.#worst.push(Math.max(0, at - expectedAt));
      this.#worst = this.#worst.slice(-LOOP_LAG_WINDOWS);
      expectedAt = at + LOOP_PROBE_MS;
    }, LOOP_PROBE_MS);
  }

  /** The longest wait of the last seconds, in milliseconds. */
  get lagMs(): number {
    return Math.max(...this.#worst);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
