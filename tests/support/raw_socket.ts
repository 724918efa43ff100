/**
 * A WebSocket handshake over plain TCP, for peers that break the protocol.
 *
 * @module
 */

import { createConnection } from "node:net";

export interface RawSocket extends Disposable {
  readonly conn: Deno.TcpConn;
  /** The head of the answer. Empty with `"no answer"`. */
  readonly head: string;
  readonly status: number;
  /** Bytes that arrived after the head. */
  readonly rest: Uint8Array;
}

/** The request of a handshake. Headers replace those of a good one. */
export function handshakeText(
  serverUrl: string,
  path: string,
  headers: Record<string, string> = {},
): string {
  const all = {
    "Host": new URL(serverUrl).host,
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return [`GET ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n");
}

export async function rawHandshake(
  serverUrl: string,
  headers: Record<string, string> = {},
  wait: "answer" | "no answer" = "answer",
  path = "/ws",
): Promise<RawSocket> {
  let isOpen = true;
  const { hostname, port } = new URL(serverUrl);
  const conn = await Deno.connect({ hostname, port: Number(port) });
  const text = handshakeText(serverUrl, path, headers);
  await conn.write(new TextEncoder().encode(text));
  let received = new Uint8Array();
  let end = -1;
  const buffer = new Uint8Array(4_096);
  while (wait === "answer" && end < 0) {
    const size = await conn.read(buffer);
    if (size === null) break;
    received = new Uint8Array([...received, ...buffer.subarray(0, size)]);
    end = new TextDecoder("latin1").decode(received).indexOf("\r\n\r\n");
  }
  const head = new TextDecoder("latin1").decode(received);
  return {
    conn,
    head,
    status: Number(head.split(" ")[1]),
    rest: end < 0 ? new Uint8Array() : received.slice(end + 4),
    [Symbol.dispose]: () => {
      if (isOpen) conn.close();
      isOpen = false;
    },
  };
}

/** Sends a handshake to the URL of a socket, and resets the connection at once. */
export async function resetHandshake(url: string): Promise<void> {
  const { hostname, port, pathname, search } = new URL(url);
  const socket = createConnection(Number(port), hostname);
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.write(handshakeText(url, pathname + search));
  socket.resetAndDestroy();
}
