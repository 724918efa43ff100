/**
 * Bounds of `telemetry/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Time between two probes of the event loop. */
export const LOOP_PROBE_MS = 500;

/** Probes that are kept: the reported lag is the longest of the last ten seconds. */
export const LOOP_LAG_WINDOWS = 20;

/** Time between two reads of what the database owes: often enough for an alert, at no cost. */
export const DATABASE_WATCH_MS = 15_000;
