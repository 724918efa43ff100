/**
 * A tap records all that a server lets one client observe, in its order: each message with its
 * fields, the subprotocol, the close code and its reason, and of an HTTP response the status, the
 * headers and the body.
 *
 * What differs between two runs that are the same for the client is taken out: the value of `seq`,
 * which may only grow, the date, and the jitter of `Retry-After`.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { until } from "./until.ts";

/** Headers with a value of their own in each response. */
const OF_THE_MOMENT = new Set(["date", "retry-after"]);

const KEEPALIVE = JSON.stringify({ type: "keepalive", seq: "grows" });

export interface TapOptions {
  readonly version?: 1 | 2;
  /** As in a URL, such as `since=7&watch=1,2`. */
  readonly query?: string;
}

export class Tap implements AsyncDisposable {
  readonly version: 1 | 2;
  readonly socket: WebSocket;
  /** What arrived, in its order. */
  readonly events: string[] = [];
  /** Of the last message that had one. */
  seq = 0;
  #fault: unknown;

  constructor(
    serverUrl: string,
    token: string,
    { version = 2, query = "" }: TapOptions = {},
  ) {
    this.version = version;
    const url = `${serverUrl.replace(/^http/, "ws")}ws?${query}`;
    const protocols = [`rollcall.v${version}`, `bearer.${token}`];
    const socket = this.socket = new WebSocket(url, protocols);
    socket.onopen = () => this.events.push(`open ${socket.protocol}`);
    socket.onerror = () => {};
    socket.onmessage = ({ data }) => this.#record(data);
    socket.onclose = ({ code, reason }) =>
      this.events.push(`closed ${code} ${reason}`);
  }

  /** What two runs can be compared by: a slow machine sends more keepalives, so those in a row are one. */
  get observed(): readonly string[] {
    return this.events.filter((event, at) =>
      event !== KEEPALIVE || this.events[at - 1] !== event
    );
  }

  get isClosed(): boolean {
    return this.socket.readyState === WebSocket.CLOSED;
  }

  send(message: unknown): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Waits until something arrives that contains this text, beyond the first `seen` events. */
  async receives(text: string, seen = 0): Promise<void> {
    await until(`${text} arrives`, () => {
      if (this.#fault !== undefined) throw this.#fault;
      const later = this.events.slice(seen);
      if (later.some((event) => event.includes(text))) return true;
      ok(!this.isClosed, `${text} never arrives: ${this.events.join("\n")}`);
      return false;
    });
  }

  /** Sends a message, and waits for an answer that contains this text. */
  async asks(message: unknown, answer: string): Promise<void> {
    const { length } = this.events;
    this.send(message);
    await this.receives(answer, length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.socket.readyState < WebSocket.CLOSING) this.socket.close(1000);
    await until("the tap is closed", () => this.isClosed);
    if (this.#fault !== undefined) throw this.#fault;
  }

  #record(data: string): void {
    const message = JSON.parse(data);
    if ("seq" in message) {
      try {
        ok(message.seq >= this.seq, `seq ${message.seq} after ${this.seq}`);
      } catch (err) {
        this.#fault ??= err;
      }
      this.seq = message.seq;
      message.seq = "grows";
    }
    this.events.push(JSON.stringify(message));
  }
}

/** What an HTTP response shows. */
export async function observe(
  url: string,
  init: RequestInit = {},
): Promise<string> {
  const response = await fetch(url, { redirect: "manual", ...init });
  const headers = [...response.headers]
    .map(([name, value]) => [name, OF_THE_MOMENT.has(name) ? "" : value])
    .sort();
  const { status } = response;
  return JSON.stringify({ status, headers, body: await response.text() });
}
