/**
 * A cordoned node takes no newcomers. Its clients stay, and leave in their own time, or at a rate
 * that an administrator chose.
 *
 * `/readyz` fails, so that a load balancer sends newcomers to other nodes, and a socket that comes
 * all the same gets 503. This evens out a cluster after a rolling restart, which leaves the node
 * that was restarted last almost empty: cordon the full ones for a while.
 *
 * With a rate, connections are closed with 1001, those of the user who has been here for longest
 * first, and their clients connect to another node. Meanwhile the user stays claimed for
 * `DRAIN_GRACE_MS`, as when a node stops: a placeholder takes the place of the user's last
 * connection, so the core needs to know nothing of this. A revocation, or the end of the token,
 * ends the placeholder as it would end the connection.
 *
 * A cordon is the process's: it ends when the process does.
 *
 * @module
 */
import type { Admission } from "../access/admission.ts";
import type { Clock } from "../base/clock.ts";
import { DISCONNECT } from "../client/protocol/disconnect.ts";
import { Connection, type Socket } from "../core/connections/connection.ts";
import type { Connections } from "../core/connections/connections.ts";

export interface CordonDeps {
  readonly admission: Pick<Admission, "isCordoned">;
  readonly connections: Connections;
  readonly clock: Clock;
  /** How long a user whose last connection was closed stays claimed. */
  readonly drainGraceMs: number;
}

/** Nothing is sent to it: no placeholder is subscribed to anything. */
const NO_SOCKET: Socket = {
  isOpen: true,
  bufferedAmount: 0,
  send: () => {},
  close: () => {},
};

export class Cordon {
  readonly #deps: CordonDeps;
  readonly #placeholders = new Set<Connection>();
  #closesPerMinute = 0;
  #stop = new AbortController();

  constructor(deps: CordonDeps) {
    this.#deps = deps;
  }

  get isCordoned(): boolean {
    return this.#deps.admission.isCordoned;
  }

  /** Connections that are closed in a minute. 0: none. */
  get closesPerMinute(): number {
    return this.#closesPerMinute;
  }

  /** Takes no newcomers from now on. Replaces an earlier cordon, and its rate. */
  begin(closesPerMinute: number): void {
    this.end();
    this.#deps.admission.isCordoned = true;
    this.#closesPerMinute = closesPerMinute;
    if (closesPerMinute > 0) void this.#closeAll(this.#stop.signal);
  }

  /** Takes newcomers again, and closes no more connections. Safe without a cordon. */
  end(): void {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#deps.admission.isCordoned = false;
    this.#closesPerMinute = 0;
  }

  /** Closes one connection after the other, for as long as the cordon lasts. */
  async #closeAll(signal: AbortSignal): Promise<void> {
    const { connections: { hub }, clock } = this.#deps;
    const pauseMs = 60_000 / this.#closesPerMinute;
    let dueAt = clock.now() + pauseMs;
    while (!signal.aborted) {
      await clock.sleep(dueAt - clock.now(), signal);
      for (const connection of hub.connections()) {
        if (signal.aborted) return;
        if (this.#placeholders.has(connection)) continue;
        this.#move(connection);
        dueAt += pauseMs;
        await clock.sleep(dueAt - clock.now(), signal);
      }
      dueAt = clock.now() + pauseMs;
    }
  }

  #move(connection: Connection): void {
    const { connections, clock, drainGraceMs } = this.#deps;
    const { userId, version, endsAt, tokenId } = connection;
    const isLast = connections.hub.connectionsOf(userId).length === 1;
    if (isLast && drainGraceMs > 0) {
      const token = { endsAt, receivedAt: clock.now(), tokenId };
      const held = new Connection(userId, NO_SOCKET, { version, ...token });
      this.#placeholders.add(held);
      connections.open(held);
      void clock.sleep(drainGraceMs).then(() => {
        this.#placeholders.delete(held);
        connections.closed(held);
      });
    }
    connections.disconnect(connection, DISCONNECT.nodeCordoned);
  }
}
