/**
 * A pump visits subscribers in slices so short that no other work has to wait for it.
 *
 * Any number of wakes in one turn cause one pass. A subscriber that cannot continue is visited
 * again after a pause, so that no pass waits for it. The pump does not know what a visit does.
 *
 * @module
 */
import { BackgroundTask } from "../../base/background_task.ts";
import type { Clock } from "../../base/clock.ts";
import { FANOUT_SLICE_MS, STALLED_RECHECK_MS } from "./limits.ts";

/**
 * - `idle`: nothing is left to send before the next wake.
 * - `continue`: more is left. The visit continues in the next pass, after the other subscribers.
 * - `retry later`: nothing can be sent now.
 */
export type Visited = "idle" | "continue" | "retry later";

export interface PumpDeps<Subscriber> {
  readonly clock: Clock;
  /**
   * From the end of a pass to the start of the next, in milliseconds. The first wake after this
   * pause starts a pass at once.
   */
  readonly pauseMs: number;
  /** The subscribers to visit. The walk over them may be spread over time. */
  readonly begin: () => Iterable<Subscriber>;
  readonly visit: (subscriber: Subscriber) => Visited;
  /** A pass ended, and no subscriber has to continue. */
  readonly end: () => void;
}

export class Pump<Subscriber> {
  readonly #deps: PumpDeps<Subscriber>;
  readonly #passes: BackgroundTask;
  readonly #rechecks: BackgroundTask;

  constructor(deps: PumpDeps<Subscriber>) {
    const { clock, pauseMs } = deps;
    this.#deps = deps;
    this.#passes = new BackgroundTask(async (signal) => {
      await this.#pass(signal);
      if (pauseMs > 0) await clock.sleep(pauseMs, signal);
    });
    this.#rechecks = new BackgroundTask(async (signal) => {
      await clock.sleep(STALLED_RECHECK_MS, signal);
      this.wake();
    });
  }

  wake(): void {
    this.#passes.wake();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#passes.stop(), this.#rechecks.stop()]);
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { clock, begin, visit, end } = this.#deps;
    let isAnyDeferred = false;
    let isAnyContinued = false;
    await forEachSliced(
      begin(),
      (subscriber) => {
        const visited = visit(subscriber);
        if (visited === "continue") isAnyContinued = true;
        else if (visited === "retry later") isAnyDeferred = true;
      },
      clock,
      signal,
    );
    if (isAnyContinued) {
      this.wake();
      await clock.yield();
    } else end();
    if (isAnyDeferred) this.#rechecks.wake();
  }
}

/**
 * Visits every item, and yields to other work after each slice of `FANOUT_SLICE_MS`. Ends early
 * when the signal aborts.
 */
export async function forEachSliced<Item>(
  items: Iterable<Item>,
  visit: (item: Item) => void,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let sliceEnd = clock.now() + FANOUT_SLICE_MS;
  for (const item of items) {
    visit(item);
    if (clock.now() < sliceEnd) continue;
    await clock.yield();
    if (signal.aborted) return;
    sliceEnd = clock.now() + FANOUT_SLICE_MS;
  }
}
