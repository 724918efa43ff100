/**
 * Bounds of `telemetry/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Time between two probes of the event loop. */
export const LOOP_PROBE_MS = 500;

/** Probes that are kept: the reported lag is the longest of the last ten seconds. */
export const LOOP_LAG_WINDOWS = 20;

/** Warnings and errors that are kept for administrators: what a person reads in an incident. */
export const WARNINGS_KEPT_MAX = 100;

/** Characters of the fields of a kept warning: enough for a message and the first lines of a stack. */
export const WARNING_LENGTH_KEPT_MAX = 1_000;

/** Time between two reads of what the database owes: often enough for an alert, at no cost. */
export const DATABASE_WATCH_MS = 15_000;
