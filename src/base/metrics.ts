/**
 * What the parts count and measure as they work.
 *
 * It does not know what becomes of the values: `telemetry/prometheus.ts` exports them.
 *
 * @module
 */

export interface Metrics {
  /**
   * The store committed a batch of presence.
   *
   * @param users Users in the batch.
   * @param transitions Transitions that the batch caused.
   * @param ms How long the write took.
   */
  applied(users: number, transitions: number, ms: number): void;
  /** The store did not confirm a batch of presence. Its users are written again. */
  writeFailed(): void;
  /** The lease was renewed. `ms`: how long that took. */
  leaseRenewed(ms: number): void;
  /** The node was fenced, and joined again under a new id. */
  leaseLost(): void;
  /** The notification connection was lost, and there is a new one. */
  notificationsReconnected(): void;
  /** The issuer's key set was fetched. */
  keySetFetched(): void;
  /**
   * A pass delivered everything to the connections of a protocol version, except to those whose
   * peers do not read.
   *
   * @param ms Since the oldest event that was delivered.
   */
  delivered(ms: number, version: 1 | 2): void;
  /**
   * A user came online, went offline, or is in other groups.
   *
   * @param connections Those of this node that may see it, without watchers.
   */
  changed(connections: number): void;
  /** A diff for version 2 was merged from this number of changes. */
  merged(changes: number): void;
  /** A connection was closed because its peer does not read. */
  slowConsumerDropped(): void;
  /** A peer left before its socket was open. Deno may never free the descriptor. */
  handshakeLost(): void;
  /** A request was answered with an HTTP status of 400 or above, and the code of the error. */
  requestRefused(status: number, code: string): void;
  /** A user has one more connection. */
  connected(version: 1 | 2): void;
  /** A socket was closed by the server or by its peer. */
  closed(why: CloseReason, by: "server" | "client"): void;
}

export interface CloseReason {
  readonly code: number;
  /** `""` for any reason of a peer that is not one of the protocol's. */
  readonly reason: string;
  /** The reason without its details, so that there are few different ones. Default: the reason. */
  readonly template?: string;
}

export const noMetrics: Metrics = {
  applied() {},
  writeFailed() {},
  leaseRenewed() {},
  leaseLost() {},
  notificationsReconnected() {},
  keySetFetched() {},
  delivered() {},
  changed() {},
  merged() {},
  slowConsumerDropped() {},
  handshakeLost() {},
  requestRefused() {},
  connected() {},
  closed() {},
};
