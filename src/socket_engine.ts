/**
 * The socket engines, by name. This is the only file that knows both. The files of an engine are
 * loaded when it is chosen.
 *
 * @module
 */
import type { Clock } from "./base/clock.ts";
import type { HttpServer, HttpServerDeps } from "./http/http_server.ts";
import type { Upgrade } from "./socket/engine.ts";
import type { Config } from "./config/config.ts";

export interface SocketEngine {
  /** @throws {StartError} when it cannot listen on the host and the port. */
  readonly listen: (deps: HttpServerDeps) => Promise<HttpServer>;
  readonly upgrade: Upgrade;
  /** Ends the sockets that are still open. */
  stop(): Promise<void>;
}

const ENGINES: Record<
  Config["socketEngine"],
  (clock: Clock) => Promise<SocketEngine>
> = {
  native: async () => {
    const { NativeServer } = await import("./http/native_server.ts");
    const { upgradeNative } = await import("./socket/native_socket.ts");
    return {
      listen: (deps) => Promise.resolve(new NativeServer(deps)),
      upgrade: upgradeNative,
      stop: () => Promise.resolve(),
    };
  },
  ws: async (clock) => {
    const { NodeServer } = await import("./http/node_server.ts");
    const { WsEngine } = await import("./socket/ws_engine.ts");
    const engine = new WsEngine(clock);
    return {
      listen: (deps) => NodeServer.listen(deps),
      upgrade: (request, protocol) => engine.upgrade(request, protocol),
      stop: () => engine.stop(),
    };
  },
};

export function loadSocketEngine(
  name: Config["socketEngine"],
  clock: Clock,
): Promise<SocketEngine> {
  return ENGINES[name](clock);
}
