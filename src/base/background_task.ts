/**
 * A background task runs a job once for any number of wakes, and once more for wakes that
 * arrive during a run.
 *
 * The job therefore always starts after the newest wake, and never runs twice at the same
 * time. What the job does, and when it should retry, is the caller's.
 *
 * @module
 */

export class BackgroundTask {
  readonly #job: (signal: AbortSignal) => Promise<void>;
  readonly #pause: (signal: AbortSignal) => Promise<void>;
  readonly #stop = new AbortController();
  #isWanted = false;
  #running: Promise<void> | undefined;

  /**
   * @param job One run. The signal aborts when the task is stopped. A rejection is reported as
   *   unhandled, and the next wake starts anew: a job handles the faults that it expects.
   * @param pause Waits before each run. Wakes during the pause belong to the run that follows it.
   *   Default: one microtask, so that the wakes of one turn cause one run.
   */
  constructor(
    job: (signal: AbortSignal) => Promise<void>,
    pause: (signal: AbortSignal) => Promise<void> = () => Promise.resolve(),
  ) {
    this.#job = job;
    this.#pause = pause;
  }

  /** Whether a run is under way or about to start. */
  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Aborts when the task is stopped. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Starts a run after the pause, or one more after the current run. Never after `stop`. */
  wake(): void {
    this.#isWanted = true;
    if (!this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  /** Aborts the signal and resolves when the current run has ended. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    try {
      while (this.#isWanted) {
        await this.#pause(signal);
        if (signal.aborted) return;
        this.#isWanted = false;
        await this.#job(signal);
      }
    } finally {
      this.#running = undefined;
    }
  }
}
