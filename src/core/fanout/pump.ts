/**
 * A pump visits connections, in slices so short that nothing else has to wait for it.
 *
 * Any number of wakes in one turn cause one pass. A connection that cannot progress is met
 * again after a while, so that no pass spins on it. What a visit does is not known here.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import type { Connection } from "../connections/connection.ts";
import { FANOUT_SLICE_MS, STALLED_RECHECK_MS } from "./limits.ts";

/**
 * - `idle`: there is nothing to do before the next wake.
 * - `continue`: it goes on when the others had their turn.
 * - `retry later`: it cannot go on now, and may in a while.
 */
export type Visited = "idle" | "continue" | "retry later";

export interface PumpDeps {
  readonly clock: Clock;
  /** Between the end of one pass and the begin of the next. The first after it waits for nothing. */
  readonly pauseMs: number;
  /** Whom to visit. The walk may be spread over time. */
  readonly begin: () => Iterable<Connection>;
  readonly visit: (connection: Connection) => Visited;
  /** All were visited, and none has more. */
  readonly end?: () => void;
}

export class Pump {
  readonly #deps: PumpDeps;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #recheck: Promise<void> | undefined;
  #wanted = false;

  constructor(deps: PumpDeps) {
    this.#deps = deps;
  }

  wake(): void {
    this.#wanted = true;
    if (!this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#recheck;
  }

  async #run(): Promise<void> {
    const { clock, pauseMs } = this.#deps;
    await Promise.resolve();
    try {
      while (this.#wanted && !this.#stop.signal.aborted) {
        this.#wanted = false;
        await this.#pass();
        if (pauseMs > 0) await clock.sleep(pauseMs, this.#stop.signal);
      }
    } finally {
      // After a fault, which is reported, the next wake begins anew.
      this.#running = undefined;
    }
  }

  async #pass(): Promise<void> {
    const { clock, begin, visit, end } = this.#deps;
    let someAgain = false;
    let someMore = false;
    await forEachSliced(
      begin(),
      (connection) => {
        const visited = visit(connection);
        if (visited === "continue") someMore = true;
        else if (visited === "retry later") someAgain = true;
      },
      clock,
      this.#stop.signal,
    );
    if (someMore) {
      this.#wanted = true;
      await clock.yield();
    } else end?.();
    if (someAgain) this.#recheck ??= this.#recheckLater();
  }

  async #recheckLater(): Promise<void> {
    await this.#deps.clock.sleep(STALLED_RECHECK_MS, this.#stop.signal);
    this.#recheck = undefined;
    this.wake();
  }
}

/** Visits all, and yields every few milliseconds. Ends early when the signal aborts. */
export async function forEachSliced(
  connections: Iterable<Connection>,
  visit: (connection: Connection) => void,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let sliceEnd = clock.now() + FANOUT_SLICE_MS;
  for (const connection of connections) {
    visit(connection);
    if (clock.now() < sliceEnd) continue;
    await clock.yield();
    if (signal.aborted) return;
    sliceEnd = clock.now() + FANOUT_SLICE_MS;
  }
}
