/**
 * The HTTP server of the native engine: `Deno.serve`, which keeps accepting when its listener ends
 * by itself.
 *
 * One failed accept, for example without a free file descriptor, ends Deno's listener for good,
 * while sockets that are open go on. It does not know what a request asks for.
 *
 * @module
 */
import { messageOf } from "../base/message_of.ts";
import {
  cannotListen,
  type HttpServer,
  type HttpServerDeps,
  serverUrl,
} from "./http_server.ts";
import { LISTEN_AGAIN_MS } from "./limits.ts";

export class NativeServer implements HttpServer {
  readonly #deps: HttpServerDeps;
  readonly #stop = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #running: Promise<void>;

  /** @throws {StartError} when it cannot listen on the host and the port. */
  constructor(deps: HttpServerDeps) {
    this.#deps = deps;
    try {
      this.#server = this.#listen(deps.port);
    } catch (cause) {
      throw cannotListen(deps, cause);
    }
    this.#running = this.#keepListening();
  }

  get url(): string {
    const { hostname, port } = this.#server.addr;
    return serverUrl(hostname, port);
  }

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

  async #keepListening(): Promise<void> {
    const { log, clock } = this.#deps;
    const { signal } = this.#stop;
    const { port } = this.#server.addr;
    while (true) {
      const reason = await this.#server.finished.then(
        () => "no reason",
        messageOf,
      );
      if (signal.aborted) return;
      log.error({ reason }, "the HTTP listener ended, listening again");
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
