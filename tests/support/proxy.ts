/**
 * A TCP proxy that can fail as networks do.
 *
 * @module
 */

/**
 * - `open`: forwards everything.
 * - `refusing`: closes every connection, and accepts no new one.
 * - `silent`: keeps connections and accepts new ones, but forwards nothing.
 */
export type ProxyMode = "open" | "refusing" | "silent";

export interface Proxy extends AsyncDisposable {
  /** The given URL with the proxy's address in it. */
  readonly url: string;
  /** Connections accepted so far. */
  readonly accepted: number;
  set(mode: ProxyMode): void;
}

export function startProxy(targetUrl: string): Proxy {
  const target = new URL(targetUrl);
  const connections = new Set<Deno.TcpConn>();
  let mode: ProxyMode = "open";
  let accepted = 0;
  let listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const pipes = new Set<Promise<void>>();

  const drop = (connection: Deno.TcpConn) => {
    if (connections.delete(connection)) connection.close();
  };
  const pipe = async (from: Deno.TcpConn, to: Deno.TcpConn) => {
    await forward(from, to, () => mode !== "silent");
    drop(from);
    drop(to);
  };
  const track = (work: Promise<void>) => {
    pipes.add(work);
    void work.finally(() => pipes.delete(work));
  };
  const accept = async (inbound: Deno.TcpListener) => {
    for await (const client of inbound) {
      accepted += 1;
      connections.add(client);
      try {
        const server = await Deno.connect({
          hostname: target.hostname,
          port: Number(target.port),
        });
        connections.add(server);
        // A connection that was accepted before the proxy refused comes to light only afterwards.
        if (mode === "refusing") {
          drop(client);
          drop(server);
          continue;
        }
        track(pipe(client, server));
        track(pipe(server, client));
      } catch {
        drop(client);
      }
    }
  };
  track(accept(listener));

  const refuse = () => {
    listener.close();
    for (const connection of [...connections]) drop(connection);
  };
  const url = new URL(targetUrl);
  url.hostname = "127.0.0.1";
  url.port = String(port);
  return {
    url: url.href,
    get accepted() {
      return accepted;
    },
    set: (next) => {
      if (next === "refusing" && mode !== "refusing") refuse();
      if (next !== "refusing" && mode === "refusing") {
        listener = Deno.listen({ hostname: "127.0.0.1", port });
        track(accept(listener));
      }
      // Bytes are missing from connections that were open while it was silent, so they are closed.
      if (mode === "silent") {
        for (const connection of [...connections]) drop(connection);
      }
      mode = next;
    },
    [Symbol.asyncDispose]: async () => {
      if (mode !== "refusing") refuse();
      await Promise.all(pipes);
    },
  };
}

/** Resolves when one end has closed its connection. Drops the bytes that may not pass. */
async function forward(
  from: Deno.TcpConn,
  to: Deno.TcpConn,
  mayPass: () => boolean,
): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    while (true) {
      const size = await from.read(buffer);
      if (size === null) return;
      if (mayPass()) await writeAll(to, buffer.subarray(0, size));
    }
  } catch {
    // A connection that is reset has ended too.
  }
}

async function writeAll(
  connection: Deno.TcpConn,
  bytes: Uint8Array,
): Promise<void> {
  for (let sent = 0; sent < bytes.length;) {
    sent += await connection.write(bytes.subarray(sent));
  }
}
