/**
 * Free ports, for programs that need one as an argument or must restart on the same one.
 *
 * @module
 */

/** Below the range from which Linux takes the ports of outgoing connections. */
const FIRST = 15_000;
const LAST = 32_000;

/**
 * A port on which nothing listens, and which no outgoing connection takes in the meantime, as
 * it could take one that the system gave.
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
