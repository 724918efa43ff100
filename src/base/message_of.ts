/**
 * The message of a fault and of its causes, in one line. It is for expected faults, whose stack
 * would only be noise.
 *
 * @module
 */

/** An `AggregateError`, as of a refused connection, has no message: the messages of its errors. */
export function messageOf(fault: unknown): string {
  if (fault instanceof AggregateError) {
    return fault.errors.map(messageOf).join(", ");
  }
  if (!(fault instanceof Error)) return String(fault);
  const { message, cause } = fault;
  if (cause === undefined || cause === null) return message;
  const reason = messageOf(cause);
  // An error that was made from another one often repeats its message.
  return message.includes(reason) ? message : `${message}: ${reason}`;
}
