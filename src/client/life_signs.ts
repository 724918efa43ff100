/**
 * The signs of life: whether the server still answers over a socket that looks open.
 *
 * After a sleep, or on another network, a socket can look open for a long time though nothing
 * arrives any more. After a silence, and when `ask` is called, the server is sent a `ping`. A
 * socket without an answer is broken.
 *
 * @module
 */
import type { Platform } from "./platform.ts";
import { Timer } from "./timer.ts";
import type { Timing } from "./timing.ts";

export interface LifeSignsDeps {
  readonly platform: Platform;
  readonly timing: Timing;
  readonly ping: () => void;
  readonly onSilence: () => void;
}

export class LifeSigns {
  readonly #deps: LifeSignsDeps;
  readonly #timer: Timer;
  /** When the last message came, on both clocks. `-Infinity`: what came before counts no more. */
  #receivedAt = { now: 0, wallTime: 0 };
  /** When the server was last asked. */
  #askedAt = -Infinity;
  /** Nothing came since it was asked. */
  #isWaiting = false;

  constructor(deps: LifeSignsDeps) {
    this.#deps = deps;
    this.#timer = new Timer(deps.platform, deps.timing);
  }

  /** The socket is open. */
  start(): void {
    this.#askedAt = -Infinity;
    this.received();
    this.#scheduleCheck();
  }

  stop(): void {
    this.#timer.stop();
  }

  /** A message arrived. */
  received(): void {
    this.#receivedAt = this.#clocks();
    this.#isWaiting = false;
  }

  /**
   * The socket may be broken: what came before counts no more, and the server must answer soon.
   * Call it between `start` and `stop`.
   */
  ask(): void {
    const sinceAskedMs = this.#clocks().now - this.#askedAt;
    const hasJustAnswered = !this.#isWaiting &&
      sinceAskedMs < this.#deps.timing.checkMs;
    if (hasJustAnswered) return;
    this.#receivedAt = { now: -Infinity, wallTime: -Infinity };
    if (!this.#isWaiting) this.#ping();
  }

  #check(): void {
    const { timing, onSilence } = this.#deps;
    const { now, wallTime } = this.#clocks();
    // A clock that stood still during a sleep, or was set back, shows too little.
    const silentMs = Math.max(
      now - this.#receivedAt.now,
      wallTime - this.#receivedAt.wallTime,
    );
    if (this.#isWaiting && silentMs >= timing.silenceMs) return onSilence();
    if (!this.#isWaiting && silentMs >= timing.quietMs) this.#ping();
    else this.#scheduleCheck();
  }

  #ping(): void {
    this.#askedAt = this.#clocks().now;
    this.#isWaiting = true;
    this.#deps.ping();
    this.#scheduleCheck();
  }

  #clocks(): { readonly now: number; readonly wallTime: number } {
    const { performance, Date } = this.#deps.platform;
    return { now: performance.now(), wallTime: Date.now() };
  }

  #scheduleCheck(): void {
    this.#timer.start(this.#deps.timing.checkMs, () => this.#check());
  }
}
