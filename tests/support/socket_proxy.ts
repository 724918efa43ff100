/**
 * A Unix socket that forwards to a database which listens on TCP.
 *
 * @module
 */

export interface SocketProxy extends AsyncDisposable {
  /** The folder of the socket: the host in a URL. */
  readonly folder: string;
  /** The file of the socket. */
  readonly path: string;
}

/** @param targetUrl The URL of the database. */
export async function startSocketProxy(
  targetUrl: string,
): Promise<SocketProxy> {
  const { hostname, port } = new URL(targetUrl);
  const folder = await Deno.makeTempDir({ prefix: "rollcall-socket-" });
  const path = `${folder}/.s.PGSQL.5432`;
  const listener = Deno.listen({ transport: "unix", path });
  const pipes = new Set<Promise<unknown>>();
  const accept = async () => {
    for await (const client of listener) {
      const server = await Deno.connect({ hostname, port: Number(port) });
      const ended = Promise.allSettled([
        client.readable.pipeTo(server.writable),
        server.readable.pipeTo(client.writable),
      ]);
      pipes.add(ended);
      void ended.then(() => pipes.delete(ended));
    }
  };
  const accepting = accept();
  return {
    ...{ folder, path },
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await accepting;
      await Promise.all(pipes);
      await Deno.remove(folder, { recursive: true });
    },
  };
}
