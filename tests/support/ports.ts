/**
 * Free ports, for programs that need one as an argument or must restart on the same one.
 *
 * @module
 */

/** Below the range from which Linux takes the ports of outgoing connections. */
const FIRST = 15_000;
const LAST = 32_000;

/**
 * A free port below the range of outgoing connections. A port that the system chose could be taken
 * by one of these before the program listens.
 */
export function freePort(): number {
  while (true) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (err) {
      if (!(err instanceof Deno.errors.AddrInUse)) throw err;
    }
  }
}
