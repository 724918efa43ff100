/**
 * Why something failed, in one line, where the stack of an expected fault would only be noise.
 *
 * @module
 */

/** An error's message; those of its parts where, as with a refused connection, it has none. */
export function messageOf(fault: unknown): string {
  if (fault instanceof AggregateError) {
    return fault.errors.map(messageOf).join(", ");
  }
  return fault instanceof Error ? fault.message : String(fault);
}
