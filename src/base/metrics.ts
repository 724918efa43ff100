/**
 * What the core tells of itself as it works. Who listens is not known here.
 *
 * @module
 */

export interface Metrics {
  /** A batch was written: its users, the transitions that came of it, and how long it took. */
  applied(users: number, transitions: number, ms: number): void;
  /** Everybody of a version who could be told was told, so long after the oldest event that caused it. */
  delivered(ms: number, version: 1 | 2): void;
  /** A difference for version 2 was made from so many changes. */
  merged(changes: number): void;
  /** A peer that does not read was given up. */
  droppedSlowConsumer(): void;
  /** A socket was never opened: its peer left, and Deno may keep its descriptor. */
  lost(): void;
  /** A request was answered with a status of 400 or above. */
  refused(status: number): void;
  /** A socket was ended, by us or by its peer. */
  closed(code: number, by: "server" | "client"): void;
}

export const noMetrics: Metrics = {
  applied() {},
  delivered() {},
  merged() {},
  droppedSlowConsumer() {},
  lost() {},
  refused() {},
  closed() {},
};
