/**
 * A delivery timer measures the time from a change to the end of the pass that delivers it.
 *
 * It measures the oldest change that was not delivered. It does not know what a pass sends.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";

export class DeliveryTimer {
  readonly #clock: Pick<Clock, "now">;
  readonly #record: (ms: number) => void;
  #since: number | undefined;

  constructor(clock: Pick<Clock, "now">, record: (ms: number) => void) {
    this.#clock = clock;
    this.#record = record;
  }

  /** Starts, unless an older change is not delivered yet. */
  start(since: number): void {
    this.#since ??= since;
  }

  /** A pass delivered everything that could be delivered. */
  stop(): void {
    if (this.#since === undefined) return;
    this.#record(this.#clock.now() - this.#since);
    this.#since = undefined;
  }
}
