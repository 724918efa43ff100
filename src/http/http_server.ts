/**
 * An HTTP server accepts connections and passes their requests to the routes. Each socket engine
 * has its own: `native_server.ts` and `node_server.ts`.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import type { UpgradeRequest } from "./request.ts";

export interface HttpServerDeps {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Whether other processes may listen on the same port. */
  readonly reusePort: boolean;
  /** Answers a request from a peer's address. Does not reject. */
  readonly handle: (
    request: Request | UpgradeRequest,
    peer: string,
  ) => Promise<Response>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface HttpServer {
  /** Where it listens, as a browser on this machine can open it. Ends with a slash. */
  readonly url: string;
  /** Accepts no new connections, and resolves when the requests in flight are answered. */
  stop(): Promise<void>;
}

/** A server's URL. The unspecified address is `localhost`, and an IPv6 address is in brackets. */
export function serverUrl(hostname: string, port: number): string {
  const isUnspecified = hostname === "0.0.0.0" || hostname === "::";
  const host = isUnspecified ? "localhost" : hostname;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}/`;
}

const WRONG_HOST = "; set HOST to an address of this machine";

/** What to do about an error of the system, by its code. */
const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE:
    "; set PORT to another port, or stop the program that has this one",
  EACCES:
    "; set PORT to a port above 1023, or give this user the right to lower ones",
  EADDRNOTAVAIL: WRONG_HOST,
  // The same from Deno's `node:http`.
  EINVAL: WRONG_HOST,
};

/** An error for an operator: the address cannot be listened on. */
export function cannotListen(
  { host, port }: Pick<HttpServerDeps, "host" | "port">,
  cause: unknown,
): StartError {
  const code = cause instanceof Error && "code" in cause
    ? String(cause.code)
    : "";
  return new StartError(
    `Cannot listen on HOST=${host} PORT=${port}: ${messageOf(cause)}${
      ADVICE[code] ?? ""
    }`,
    { cause },
  );
}
