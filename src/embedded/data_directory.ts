/**
 * The folder `.data/` below the working directory: the embedded database, and the demo's secret.
 *
 * @module
 */

export const DATA_DIRECTORY = ".data";
