/**
 * The message of a fault, in one line. It is for expected faults, whose stack would only be noise.
 *
 * @module
 */

/** An `AggregateError`, as of a refused connection, has no message: the messages of its errors. */
export function messageOf(fault: unknown): string {
  if (fault instanceof AggregateError) {
    return fault.errors.map(messageOf).join(", ");
  }
  return fault instanceof Error ? fault.message : String(fault);
}
