/**
 * Records what clients and a real server send each other, as lines of JSON.
 *
 * @module
 */
import { until } from "./until.ts";

/** One line of a transcript; `docs/contracts/README.md` explains the fields. */
export type TranscriptLine = Readonly<Record<string, unknown>>;

/** A WebSocket of one client, whose messages are recorded as they are awaited. */
export interface RecordedSocket {
  /** Records the next message from the server. */
  receives(): Promise<Record<string, unknown>>;
  sends(message: Record<string, unknown>): void;
  /** Sends text that is no JSON. */
  sendsText(text: string): void;
  /** Records that the server closes the socket. */
  isClosed(): Promise<void>;
  /** Closes it from the client's side. */
  closes(): Promise<void>;
}

export class Transcript {
  readonly lines: TranscriptLine[] = [];
  readonly #serverUrl: string;
  readonly #sockets = new Set<WebSocket>();
  /** What stands for a token in the transcript. */
  readonly #tokens = new Map<string, string>();

  constructor(serverUrl: string, about: string) {
    this.#serverUrl = serverUrl;
    this.lines.push({ about });
  }

  /** Registers a token. `name` stands for it in the lines. */
  token(name: string, token: string): string {
    this.#tokens.set(token, name);
    return token;
  }

  async opens(
    client: string,
    path: string,
    offers: readonly string[],
  ): Promise<RecordedSocket> {
    const named = offers.map((offer) => this.#hide(offer));
    this.lines.push({ client, opens: this.#hide(path), offers: named });
    const url = new URL(path.slice(1), this.#serverUrl);
    url.protocol = "ws:";
    const socket = new WebSocket(url, [...offers]);
    this.#sockets.add(socket);
    const waiting: string[] = [];
    socket.onmessage = ({ data }) => waiting.push(data);
    socket.onerror = () => {};
    let closed: { code: number; reason: string } | undefined;
    socket.onclose = ({ code, reason }) => closed ??= { code, reason };
    await until(`${client} is open`, () => socket.readyState > 0);
    this.lines.push({ client, opened: socket.protocol });
    const end = async () => await until(`${client} is closed`, () => closed);
    return {
      receives: async () => {
        const text = await until(`${client} receives`, () => waiting.shift());
        const receives = JSON.parse(text);
        this.lines.push({ client, receives });
        return receives;
      },
      sends: (message) => {
        socket.send(JSON.stringify(message));
        const sends = JSON.parse(this.#hide(JSON.stringify(message)));
        this.lines.push({ client, sends });
      },
      sendsText: (sendsText) => {
        socket.send(sendsText);
        this.lines.push({ client, sendsText });
      },
      isClosed: async () => {
        const { code, reason } = await end();
        this.lines.push({ client, closed: { code, reason } });
      },
      closes: async () => {
        socket.close(1000);
        this.lines.push({ client, closes: 1000 });
        await end();
      },
    };
  }

  /** Sends a GET request, and records it with the answer. */
  async gets(
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ etag: string }> {
    const url = new URL(path.slice(1), this.#serverUrl);
    const response = await fetch(url, { headers });
    const text = await response.text();
    const etag = response.headers.get("etag");
    if (etag !== null) this.token("<etag>", etag);
    this.lines.push({
      request: `GET ${this.#hide(path)}`,
      headers: JSON.parse(this.#hide(JSON.stringify(headers))),
      status: response.status,
      ...(etag !== null && { etag: "<etag>" }),
      ...(text !== "" && { body: JSON.parse(text) }),
    });
    return { etag: etag ?? "" };
  }

  /** Closes the sockets that are still open. */
  async end(): Promise<void> {
    for (const socket of this.#sockets) {
      if (socket.readyState < WebSocket.CLOSING) socket.close(1000);
    }
    await until(
      "all sockets are closed",
      () =>
        [...this.#sockets].every(({ readyState }) =>
          readyState === WebSocket.CLOSED
        ),
    );
  }

  #hide(text: string): string {
    let hidden = text;
    for (const [token, name] of this.#tokens) {
      const inJson = JSON.stringify(token).slice(1, -1);
      hidden = hidden.replaceAll(inJson, name).replaceAll(token, name);
    }
    return hidden;
  }
}
