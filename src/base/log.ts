/**
 * The log as the other parts see it: four levels, fields, and one sentence for each event.
 *
 * It does not know where lines go or what they look like: `telemetry/log_writer.ts` does.
 *
 * @module
 */
import { LOG_LINES_PER_MINUTE_MAX } from "./limits.ts";

const MINUTE_MS = 60_000;

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFormat = "json" | "text";

/**
 * Fields come first, then a constant sentence. Because the sentence is constant, events can be
 * counted by it.
 */
export interface Log {
  debug(fields: Record<string, unknown>, event: string): void;
  info(fields: Record<string, unknown>, event: string): void;
  warn(fields: Record<string, unknown>, event: string): void;
  error(fields: Record<string, unknown>, event: string): void;
}

/**
 * The same log for events that clients can cause at will. It passes on at most `linesMax` lines of
 * each event a minute. If it left lines out, the event's next line says how many (`leftOut`).
 *
 * @param now Milliseconds.
 */
export function rateLimited(
  log: Log,
  linesMax = LOG_LINES_PER_MINUTE_MAX,
  now = () => performance.now(),
): Log {
  const windows = new Map<string, { since: number; lines: number }>();
  const limited =
    (level: keyof Log) => (fields: Record<string, unknown>, event: string) => {
      let window = windows.get(event);
      if (window === undefined || now() - window.since >= MINUTE_MS) {
        const leftOut = (window?.lines ?? 0) - linesMax;
        if (leftOut > 0) log[level]({ leftOut }, event);
        window = { since: now(), lines: 0 };
        windows.set(event, window);
      }
      window.lines += 1;
      if (window.lines <= linesMax) log[level](fields, event);
    };
  return {
    debug: limited("debug"),
    info: limited("info"),
    warn: limited("warn"),
    error: limited("error"),
  };
}
