/**
 * A server that has its port, and what it answers. It comes before everything else: a node that
 * cannot have its port must not join the others, and probes can ask why a start takes long.
 *
 * @module
 */
import { clientAddress } from "./access/client_address.ts";
import { type Clock, systemClock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import type { Config } from "./config/config.ts";
import type { App } from "./http/app.ts";
import { Starting } from "./http/starting.ts";
import { loadSocketEngine, type SocketEngine } from "./socket_engine.ts";

export interface Listening {
  /** Where it listens, with a slash at the end. */
  readonly url: string;
  readonly engine: SocketEngine;
  /** From now on these routes answer. */
  serve(app: App): void;
  /** What `/readyz` says until then. */
  waitFor(reason: string): void;
  /** Accepts no new connections, and resolves when the requests in flight are answered. */
  stop(): Promise<void>;
}

/** @throws {StartError} when it cannot listen on `HOST` and `PORT`. */
export async function listen(
  config: Config,
  log: Log,
  clock: Clock = systemClock,
): Promise<Listening> {
  useVectoredWrites();
  const engine = await loadSocketEngine(config.socketEngine, clock);
  const addressOf = clientAddress(config.trustedProxies, (peer) => {
    log.warn({ peer }, "X-Forwarded-For of a peer outside TRUSTED_PROXIES");
  });
  const starting = new Starting();
  let app: App | undefined;
  const http = await engine.listen({
    ...{ ...config, clock, log },
    handle: (request, peer) =>
      app?.(request, addressOf(peer, request.headers)) ??
        Promise.resolve(starting.answer(request)),
  });
  return {
    url: http.url,
    engine,
    serve: (next) => app = next,
    waitFor: (reason) => starting.reason = reason,
    stop: () => http.stop(),
  };
}

/**
 * Deno reads this variable once, at the first upgrade. Without it, each socket keeps a buffer as
 * large as the largest message that was sent to it.
 */
function useVectoredWrites(): void {
  Deno.env.set("DENO_USE_WRITEV", "1");
}
