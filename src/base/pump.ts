/**
 * A pump visits what is pending, such as subscribers, in slices so short that no other work has to wait.
 *
 * Any number of wakes in one turn cause one pass. A subscriber that cannot continue is visited
 * again after a pause, so that no pass waits for it. The pump measures the time from a change to
 * the end of the pass that delivers it. It does not know what a visit does.
 *
 * @module
 */
import { BackgroundTask } from "./background_task.ts";
import type { Clock } from "./clock.ts";
import { forEachSliced } from "./sliced.ts";
import { PAUSE_FACTOR_MAX, STALLED_RECHECK_MS } from "./limits.ts";

/**
 * - `idle`: nothing is left to send before the next wake.
 * - `continue`: more is left. The visit continues in the next pass, after the other subscribers.
 * - `retry later`: nothing can be sent now.
 */
export type Visited = "idle" | "continue" | "retry later";

export interface PumpDeps<Subscriber> {
  readonly clock: Clock;
  /**
   * Least time from the end of a pass to the start of the next, in milliseconds. A pass that took
   * longer is followed by a pause as long as itself, up to `PAUSE_FACTOR_MAX` times this. The first
   * wake after the pause starts a pass at once. A pass that continues another follows it without one.
   */
  readonly pauseMs: number;
  readonly pending: {
    add(subscriber: Subscriber): void;
    /** Those to visit, of which none is pending any more. The walk may be spread over time. */
    take(): Iterable<Subscriber>;
  };
  /** A pass begins. */
  readonly begin?: () => void;
  readonly visit: (subscriber: Subscriber) => Visited;
  /**
   * A pass delivered everything that could be delivered.
   *
   * @param ms Since the oldest change that was not delivered before.
   */
  readonly delivered: (ms: number) => void;
}

export class Pump<Subscriber> {
  readonly #deps: PumpDeps<Subscriber>;
  readonly #passes: BackgroundTask;
  readonly #rechecks: BackgroundTask;
  /** When the oldest change happened that is not delivered. `undefined`: there is none. */
  #changedAt: number | undefined;

  constructor(deps: PumpDeps<Subscriber>) {
    this.#deps = deps;
    this.#passes = new BackgroundTask((signal) => this.#pass(signal));
    this.#rechecks = new BackgroundTask(async (signal) => {
      await deps.clock.sleep(STALLED_RECHECK_MS, signal);
      this.wake();
    });
  }

  /** Starts a pass soon. `changedAt`: when the oldest change happened that it delivers, if any. */
  wake(changedAt?: number): void {
    this.#changedAt ??= changedAt;
    this.#passes.wake();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#passes.stop(), this.#rechecks.stop()]);
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { clock, pending, begin, visit, pauseMs } = this.#deps;
    const begunAt = clock.now();
    begin?.();
    let isAnyDeferred = false;
    let isAnyContinued = false;
    const visitOne = (subscriber: Subscriber) => {
      const visited = visit(subscriber);
      if (visited === "idle") return;
      pending.add(subscriber);
      if (visited === "continue") isAnyContinued = true;
      else isAnyDeferred = true;
    };
    await forEachSliced(pending.take(), visitOne, clock, signal);
    if (isAnyDeferred) this.#rechecks.wake();
    if (isAnyContinued) {
      this.wake();
      await clock.yield();
    } else {
      this.#recordDelivery();
      const longestMs = PAUSE_FACTOR_MAX * pauseMs;
      const passMs = Math.min(clock.now() - begunAt, longestMs);
      if (pauseMs > 0) await clock.sleep(Math.max(pauseMs, passMs), signal);
    }
  }

  #recordDelivery(): void {
    const { clock, delivered } = this.#deps;
    if (this.#changedAt !== undefined) delivered(clock.now() - this.#changedAt);
    this.#changedAt = undefined;
  }
}
