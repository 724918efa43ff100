/**
 * Listens for HTTP, and again whenever Deno's listener ends by itself.
 *
 * One accept that fails, for want of descriptors for example, ends Deno's listener for good
 * while sockets that are open go on. What is answered is not known here.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { LISTEN_AGAIN_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { reasonOf } from "../base/reason.ts";
import { StartError } from "../base/start_error.ts";

export interface ListenerParts {
  readonly host: string;
  readonly port: number;
  readonly reusePort: boolean;
  readonly handle: (request: Request, peer: string) => Promise<Response>;
  readonly clock: Clock;
  readonly log: Log;
}

export class Listener {
  readonly #parts: ListenerParts;
  readonly #stop = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #running: Promise<void>;

  /** @throws {StartError} when the address cannot be had. */
  constructor(parts: ListenerParts) {
    this.#parts = parts;
    const { host, port } = parts;
    try {
      this.#server = this.#listen(port);
    } catch (cause) {
      throw new StartError(
        `Cannot listen on HOST=${host} PORT=${port}: ${reasonOf(cause)}`,
        { cause },
      );
    }
    this.#running = this.#keep();
  }

  get address(): Deno.NetAddr {
    return this.#server.addr;
  }

  /** Takes no new connections, and waits for requests that are being answered. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#server.shutdown();
    await this.#running;
  }

  #listen(port: number): Deno.HttpServer<Deno.NetAddr> {
    const { host, reusePort, handle } = this.#parts;
    const options = { hostname: host, port, reusePort, onListen: () => {} };
    return Deno.serve(
      options,
      (request, { remoteAddr: { hostname } }) => handle(request, hostname),
    );
  }

  async #keep(): Promise<void> {
    const { log, clock } = this.#parts;
    const { signal } = this.#stop;
    const { port } = this.#server.addr;
    while (true) {
      const reason = await this.#server.finished.then(
        () => "no reason",
        reasonOf,
      );
      if (signal.aborted) return;
      log.error({ reason }, "the listener ended, listening again");
      while (!signal.aborted) {
        await clock.sleep(LISTEN_AGAIN_MS, signal);
        if (signal.aborted) return;
        try {
          this.#server = this.#listen(port);
          break;
        } catch (err) {
          log.error({ reason: reasonOf(err) }, "cannot listen, trying again");
        }
      }
    }
  }
}
