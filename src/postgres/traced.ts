/**
 * OpenTelemetry spans around calls of the database. Without `OTEL_DENO` they cost next to nothing.
 *
 * @module
 */
import { type Attributes, SpanStatusCode, trace } from "@opentelemetry/api";

const tracer = trace.getTracer("rollcall");

/**
 * Runs the work inside a span of a trace of its own, which is marked as failed if the work rejects.
 * It serves many requests at once, so it belongs to none of them.
 */
export async function traced<T>(
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
): Promise<T> {
  return await tracer.startActiveSpan(
    name,
    { attributes, root: true },
    async (span) => {
      try {
        return await work();
      } catch (err) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: String(err) });
        throw err;
      } finally {
        span.end();
      }
    },
  );
}
