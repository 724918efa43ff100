/**
 * Listens for HTTP, and again whenever Deno's listener ends by itself.
 *
 * One accept that fails, for want of descriptors for example, ends Deno's listener for good
 * while sockets that are open go on. What is answered is not known here.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { LISTEN_AGAIN_MS } from "./limits.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";

export interface HttpServerDeps {
  readonly host: string;
  readonly port: number;
  readonly reusePort: boolean;
  readonly handle: (request: Request, peer: string) => Promise<Response>;
  readonly clock: Clock;
  readonly log: Log;
}

export class HttpServer {
  readonly #deps: HttpServerDeps;
  readonly #stop = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #running: Promise<void>;

  /** @throws {StartError} when the address cannot be had. */
  constructor(deps: HttpServerDeps) {
    this.#deps = deps;
    const { host, port } = deps;
    try {
      this.#server = this.#listen(port);
    } catch (cause) {
      throw new StartError(
        `Cannot listen on HOST=${host} PORT=${port}: ${messageOf(cause)}`,
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
    const { host, reusePort, handle } = this.#deps;
    const options = { hostname: host, port, reusePort, onListen: () => {} };
    return Deno.serve(
      options,
      (request, { remoteAddr: { hostname } }) => handle(request, hostname),
    );
  }

  async #keep(): Promise<void> {
    const { log, clock } = this.#deps;
    const { signal } = this.#stop;
    const { port } = this.#server.addr;
    while (true) {
      const reason = await this.#server.finished.then(
        () => "no reason",
        messageOf,
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
          log.error({ reason: messageOf(err) }, "cannot listen, trying again");
        }
      }
    }
  }
}
