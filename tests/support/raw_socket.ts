/**
 * A WebSocket handshake over plain TCP, for peers that do what no library does.
 *
 * @module
 */

export interface RawSocket extends Disposable {
  readonly conn: Deno.TcpConn;
  /** The head of the answer; empty if it was not waited for. */
  readonly head: string;
  readonly status: number;
}

export async function rawHandshake(
  serverUrl: string,
  headers: Record<string, string> = {},
  wait: "answer" | "no answer" = "answer",
  path = "/ws",
): Promise<RawSocket> {
  const { hostname, port } = new URL(serverUrl);
  const conn = await Deno.connect({ hostname, port: Number(port) });
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${hostname}:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  await conn.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  let head = "";
  const buffer = new Uint8Array(4_096);
  while (wait === "answer" && !head.includes("\r\n\r\n")) {
    const size = await conn.read(buffer);
    if (size === null) break;
    head += new TextDecoder().decode(buffer.subarray(0, size));
  }
  return {
    conn,
    head,
    status: Number(head.split(" ")[1]),
    [Symbol.dispose]: () => conn.close(),
  };
}
