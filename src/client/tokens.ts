/**
 * The tokens: the text that the application gave, or the calls of its function.
 *
 * There is never more than one open call. A second one beside it would make issuers with rotating
 * refresh tokens revoke both, so everything that needs a token waits for the same answer.
 *
 * @module
 */
import type { Platform } from "./platform.ts";
import { Timer } from "./timer.ts";
import type { Timing } from "./timing.ts";

/** A token, or a function that returns one. */
export type TokenSource = string | (() => string | Promise<string>);

export class Tokens {
  readonly #source: TokenSource;
  readonly #timing: Timing;
  #call: Promise<string> | undefined;
  readonly #timer: Timer;
  /** Tokens in a row that the server refused because of their time. */
  #refused = 0;

  constructor(source: TokenSource, platform: Platform, timing: Timing) {
    this.#source = source;
    this.#timing = timing;
    this.#timer = new Timer(platform, timing);
  }

  /** Whether there may be another token than the last one. */
  get canChange(): boolean {
    return typeof this.#source === "function";
  }

  /** Rejects if the function fails or does not answer. */
  get(): Promise<string> {
    const source = this.#source;
    if (typeof source === "string") return Promise.resolve(source);
    if (this.#call !== undefined) return this.#call;
    const call = this.#call = this.#callOnce(source);
    const forget = () => void (this.#call = undefined);
    call.then(forget, forget);
    return call;
  }

  /** The client is closed: an open call keeps no process from exiting. */
  stop(): void {
    this.#timer.stop();
  }

  accepted(): void {
    this.#refused = 0;
  }

  /** The server refused the last token because of its time. Says whether to try another one. */
  refused(): "retry" | "final" {
    this.#refused += 1;
    const { refusedTokensMax } = this.#timing;
    const mayRetry = this.canChange && this.#refused < refusedTokensMax;
    return mayRetry ? "retry" : "final";
  }

  async #callOnce(source: () => string | Promise<string>): Promise<string> {
    const { tokenMs } = this.#timing;
    const timeout = new Promise<never>((_, reject) => {
      const error = new Error(`no token within ${tokenMs / 1_000} s`);
      this.#timer.start(tokenMs, () => reject(error));
    });
    try {
      return await Promise.race([timeout, source()]);
    } finally {
      this.stop();
    }
  }
}

/**
 * Reads a JWT. White space around it is no part of it: files and templates add a newline. Any other
 * text cannot be offered as a subprotocol, and the browser's error message would contain it.
 *
 * @returns `undefined` if the value cannot be a JWT: `noToken` says what it is.
 */
export function readToken(value: unknown): string | undefined {
  const token = typeof value === "string" ? value.trim() : "";
  return /^[\w.~-]+$/.test(token) ? token : undefined;
}

/** The error for a value that is no token. It never contains the value. */
export function noToken(value: unknown): string {
  return `expected a JWT as the token, got ${kindOf(value)}`;
}

/** What a value is, without the value. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value !== "string") {
    return typeof value === "object" ? "an object" : `a ${typeof value}`;
  }
  if (value.trim() === "") return "an empty text";
  return /^\s*Bearer\s/i.test(value)
    ? "text with Bearer before it"
    : "text that is no JWT";
}
