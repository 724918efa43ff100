/**
 * Upkeep does for each connection what is due by time alone: the end of its token, a warning
 * before it, and a sign of life where nothing happened for long.
 *
 * One walk over all connections, now and then, instead of a timer for each of them.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import type { Connection, Sync } from "../connections/connection.ts";
import type { Fanout } from "../fanout/fanout.ts";
import type { Connections } from "../connections/connections.ts";
import { KEEPALIVE_MS, TOKEN_WARNING_MS, UPKEEP_MS } from "./limits.ts";
import { DISCONNECT } from "../../protocol/disconnect.ts";
import { forEachSliced } from "../fanout/pump.ts";
import { encodeError } from "../fanout/sync_messages.ts";

export interface UpkeepDeps {
  readonly fanout: Pick<Fanout, "sendControl" | "keepAlive">;
  readonly clock: Clock;
  readonly connections: Pick<Connections, "hub" | "disconnect">;
}

export class Upkeep {
  readonly #deps: UpkeepDeps;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(deps: UpkeepDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { connections: { hub }, clock } = this.#deps;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(UPKEEP_MS, signal);
      if (signal.aborted) return;
      await forEachSliced(
        hub.connections(),
        (connection) => this.#visit(connection),
        clock,
        signal,
      );
    }
  }

  #visit(connection: Connection): void {
    const { clock, connections, fanout } = this.#deps;
    const { sync, endsAt, lastSentAt } = connection;
    const now = clock.now();
    if (now >= endsAt) {
      connections.disconnect(connection, DISCONNECT.tokenExpired);
    } else if (sync !== undefined && now >= this.#warnAt(sync, endsAt, now)) {
      sync.warnAt = Infinity;
      const seconds = Math.ceil((endsAt - now) / 1_000);
      const message = `your token ends in ${seconds} s: send a refresh`;
      fanout.sendControl(connection, encodeError("token_expiring", message));
    } else if (sync !== undefined && now - lastSentAt >= KEEPALIVE_MS) {
      fanout.keepAlive(connection);
    }
  }

  /** A token that lives shortly is not asked for again as soon as it is here. */
  #warnAt(sync: Sync, endsAt: number, now: number): number {
    const aheadMs = Math.min(TOKEN_WARNING_MS, (endsAt - now) / 2);
    return sync.warnAt ??= endsAt - aheadMs;
  }
}
