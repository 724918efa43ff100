/**
 * A fault of what the server was given, told to the operator without a stack.
 *
 * @module
 */

/** The message says what cannot be done, what was found, and what is expected instead. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** The process's exit code when a start error ends it. */
export const START_ERROR_EXIT_CODE = 2;
