/**
 * The requests of `node:http`, as the routes read them.
 *
 * An upgrade is read without making a `Request`, and its TCP connection has no answer until
 * somebody takes it.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import { type Duplex, Readable } from "node:stream";
import type { RequestHead, UpgradeRequest } from "./request.ts";

/** A request for an upgrade, and its TCP connection, which has no answer yet. */
export class NodeUpgrade implements UpgradeRequest {
  readonly incoming: IncomingMessage;
  readonly socket: Duplex;
  /** What the peer sent after the request. */
  readonly head: Buffer;
  #isTaken = false;

  constructor(incoming: IncomingMessage, socket: Duplex, head: Buffer) {
    this.incoming = incoming;
    this.socket = socket;
    this.head = head;
  }

  get method(): string {
    return this.incoming.method ?? "GET";
  }

  get url(): string {
    return urlOf(this.incoming);
  }

  /** It is its own `headers`, because few of them are read, and each once. */
  get headers(): this {
    return this;
  }

  /** The value of a header as `Headers` has it: several are one list. */
  get(name: string): string | null {
    const { rawHeaders } = this.incoming;
    let value: string | null = null;
    for (let at = 0; at < rawHeaders.length; at += 2) {
      if (rawHeaders[at]?.toLowerCase() !== name) continue;
      const next = rawHeaders[at + 1] ?? "";
      value = value === null ? next : `${value}, ${next}`;
    }
    return value;
  }

  toRequest(): Request {
    const request = toRequest(this.incoming);
    upgrades.set(request, this);
    return request;
  }

  /** Takes the TCP connection: the caller answers the request. `"taken"`: another caller does. */
  take(): "yours" | "taken" {
    if (this.#isTaken) return "taken";
    this.#isTaken = true;
    return "yours";
  }
}

/** The upgrades of which a `Request` was made. */
const upgrades = new WeakMap<Request, NodeUpgrade>();

/** Takes the TCP connection of a request: the caller answers it. `undefined`: it asks for no upgrade. */
export function takeUpgrade(request: RequestHead): NodeUpgrade | undefined {
  const upgrade = request instanceof NodeUpgrade
    ? request
    : upgrades.get(request as Request);
  return upgrade?.take() === "yours" ? upgrade : undefined;
}

/** The URL of a request. A host may make it invalid. */
function urlOf({ url: target = "", headers }: IncomingMessage): string {
  const { host = "localhost" } = headers;
  return /^https?:/i.test(target) ? target : `http://${host}${target}`;
}

/**
 * The request as the routes read it. A host that makes no valid URL leads to a URL without a host,
 * which the routes refuse.
 */
export function toRequest(incoming: IncomingMessage): Request {
  const { method = "GET", headersDistinct } = incoming;
  const url = urlOf(incoming);
  const headers = Object.entries(headersDistinct).flatMap(([name, values]) =>
    (values ?? []).map((value): [string, string] => [name, value])
  );
  const isTrace = method === "TRACE";
  const hasBody = !isTrace && method !== "GET" && method !== "HEAD";
  const request = new Request(URL.canParse(url) ? url : "about:blank", {
    ...{ method: isTrace ? "GET" : method, headers },
    ...(hasBody ? { body: Readable.toWeb(incoming), duplex: "half" } : {}),
  } as RequestInit);
  // `new Request` throws on TRACE. The routes refuse it like every method that they do not have.
  if (isTrace) Object.defineProperty(request, "method", { value: method });
  return request;
}
