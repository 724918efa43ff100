/**
 * The reachability: what is known about the server while sockets do not open.
 *
 * Firefox delays sockets to a host where several failed, by up to a minute and in all tabs. So
 * after a failure this asks the server by HTTP, and only then a socket is opened. It asks only if it
 * could ask before: a page's policy may forbid it.
 *
 * @module
 */
import type { Platform } from "./platform.ts";

/** Sockets in a row, none of which opened, after which the path may be the reason. */
const PATH_SUSPECT_AFTER = 3;

export class Reachability {
  readonly #url: string;
  readonly #platform: Platform;
  #failed = 0;
  #wasEverOpen = false;
  /** The server has answered this page by HTTP. */
  #canAsk = false;

  /** @param url Of `/ws`. */
  constructor(url: string, platform: Platform) {
    this.#url = url;
    this.#platform = platform;
  }

  /** Whether the last socket did not open. */
  get hasFailed(): boolean {
    return this.#failed > 0;
  }

  /** A socket did not open. */
  failed(): void {
    this.#failed += 1;
  }

  opened(): void {
    this.#failed = 0;
    this.#wasEverOpen = true;
  }

  /** Finds out whether this page can ask. Call it while the server is there. */
  async learnToAsk(): Promise<void> {
    const { navigator } = this.#platform;
    const isFirefox = navigator?.userAgent?.includes("Firefox/") === true;
    if (isFirefox && !this.#canAsk) this.#canAsk = await this.#answers();
  }

  /** Whether a socket may open now. Never rejects. */
  async mayOpen(): Promise<boolean> {
    if (!this.#canAsk || !this.hasFailed) return true;
    return await this.#answers();
  }

  /** Why a socket did not open. A browser tells a page nothing about it. */
  get reason(): string {
    const reason = "the server refused the connection or does not answer";
    const isSuspect = !this.#wasEverOpen &&
      this.#failed >= PATH_SUSPECT_AFTER && !/\/ws(\?|$)/.test(this.#url);
    return isSuspect ? `${reason}: expected an address ending in /ws` : reason;
  }

  /** Whether the server answers an HTTP request. Never rejects. */
  async #answers(): Promise<boolean> {
    const { URL } = this.#platform;
    const base = this.#url.replace(/^ws/i, "http");
    try {
      const { href } = new URL("healthz", base);
      const options = { mode: "no-cors", cache: "no-store" } as const;
      const response = await this.#platform.fetch?.(href, options);
      // The status is 0 for a server of another origin. From 500 on a proxy says that it is away.
      return response !== undefined && response.status < 500;
    } catch {
      return false;
    }
  }
}
