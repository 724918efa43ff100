/**
 * The data directory: it holds the embedded database and the demo's secret.
 *
 * @module
 */

/** Relative to the working directory. */
export const DATA_DIRECTORY = ".data";
