/**
 * The drain closes every connection before the node stops.
 *
 * From its start the node is not ready and accepts no new socket, so that a load balancer and
 * reconnecting clients choose another node. The closes are spread over `DRAIN_MS`, so that the
 * other nodes do not have to accept all clients at once. It does not touch claims: they are
 * released when the node leaves.
 *
 * @module
 */
import type { Admission } from "./access/admission.ts";
import type { Clock } from "./base/clock.ts";
import type { Connections } from "./core/connections/connections.ts";
import { DRAIN_POLL_MS, LAST_CLOSES_MS } from "./limits.ts";
import { DISCONNECT } from "./client/protocol/disconnect.ts";

export interface DrainDeps {
  readonly connections: Connections;
  readonly admission: Pick<Admission, "sockets">;
  readonly clock: Clock;
  /** Time between the first close and the last one. 0 closes all at once. */
  readonly drainMs: number;
}

export class Drain {
  readonly #deps: DrainDeps;
  #isDraining = false;

  constructor(deps: DrainDeps) {
    this.#deps = deps;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** From here on the node accepts no new socket and reports that it is not ready. */
  begin(): void {
    this.#isDraining = true;
  }

  /** Closes every connection with 1001 and waits for the peers to answer. Takes at most `drainMs` and 1 s. */
  async run(): Promise<void> {
    await this.#closeAll();
    await this.#waitForPeers();
  }

  async #closeAll(): Promise<void> {
    const { connections, clock, drainMs } = this.#deps;
    const all = [...connections.hub.connections()];
    const startedAt = clock.now();
    for (const [index, connection] of all.entries()) {
      const waitMs = startedAt + drainMs * index / all.length - clock.now();
      if (waitMs > 0) await clock.sleep(waitMs);
      connections.disconnect(connection, DISCONNECT.serverGoingAway);
    }
  }

  /** Without this wait Deno would close the last sockets itself, with a code of its own. */
  async #waitForPeers(): Promise<void> {
    const { admission, clock } = this.#deps;
    const endsAt = clock.now() + LAST_CLOSES_MS;
    while (admission.sockets > 0 && clock.now() < endsAt) {
      await clock.sleep(DRAIN_POLL_MS);
    }
  }
}
