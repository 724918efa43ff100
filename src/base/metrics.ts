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
  /**
   * A pass delivered everything to the connections of a protocol version, except to those whose
   * peers do not read.
   *
   * @param ms Since the oldest event that was delivered.
   */
  delivered(ms: number, version: 1 | 2): void;
  /** A diff for version 2 was merged from this number of changes. */
  merged(changes: number): void;
  /** A connection was closed because its peer does not read. */
  slowConsumerDropped(): void;
  /** A peer left before its socket was open. Deno may never free the descriptor. */
  handshakeLost(): void;
  /** A request was answered with an HTTP status of 400 or above. */
  requestRefused(status: number): void;
  /** A socket was closed with this close code, by the server or by its peer. */
  closed(code: number, by: "server" | "client"): void;
}

export const noMetrics: Metrics = {
  applied() {},
  delivered() {},
  merged() {},
  slowConsumerDropped() {},
  handshakeLost() {},
  requestRefused() {},
  closed() {},
};
