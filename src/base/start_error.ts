/**
 * A start error is a fault of the configuration, or of what it names. The operator gets its
 * message without a stack.
 *
 * @module
 */

/** The message says what cannot be done, what was found, and what is expected instead. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** The exit code of a process that a start error ended. */
export const START_ERROR_EXIT_CODE = 2;
