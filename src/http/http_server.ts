/**
 * The HTTP server accepts connections, and keeps accepting when Deno's listener ends by itself.
 *
 * One failed accept, for example without a free file descriptor, ends Deno's listener for good,
 * while sockets that are open go on. It does not know what a request asks for.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { LISTEN_AGAIN_MS } from "./limits.ts";

export interface HttpServerDeps {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Whether other processes may listen on the same port. */
  readonly reusePort: boolean;
  /** Answers a request from a peer's address. Does not reject. */
  readonly handle: (request: Request, peer: string) => Promise<Response>;
  readonly clock: Clock;
  readonly log: Log;
}

export class HttpServer {
  readonly #deps: HttpServerDeps;
  readonly #stop = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #running: Promise<void>;

  /** @throws {StartError} when it cannot listen on the host and the port. */
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
    this.#running = this.#keepListening();
  }

  /** Where it listens, as a browser on this machine can open it. Ends with a slash. */
  get url(): string {
    const { hostname, port } = this.#server.addr;
    return `http://${hostInUrl(hostname)}:${port}/`;
  }

  /** Accepts no new connections, and resolves when the requests in flight are answered. */
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

/** The unspecified address as `localhost`, and an IPv6 address in brackets. */
function hostInUrl(hostname: string): string {
  if (hostname === "0.0.0.0" || hostname === "::") return "localhost";
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}
