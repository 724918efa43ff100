/**
 * The log: one line per event on standard output, as JSON or as text.
 *
 * @module
 */
import pino from "pino";
import { LOG_LINES_PER_MINUTE_MAX } from "./limits.ts";

const MINUTE_MS = 60_000;

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFormat = "json" | "text";

/** Fields come first, then a constant sentence, so that events can be counted by their text. */
export interface Log {
  debug(fields: Record<string, unknown>, event: string): void;
  info(fields: Record<string, unknown>, event: string): void;
  warn(fields: Record<string, unknown>, event: string): void;
  error(fields: Record<string, unknown>, event: string): void;
}

/** Values under these names never reach the log, whoever put them there. */
const SECRET_FIELDS = ["token", "password", "secret", "authorization"];

/** Faults may quote a URL, or a header. */
const QUOTED_TOKENS = /([?&]token=|\bbearer[. ] ?)[^&'"\s\\]+/gi;

/**
 * The same log for events that clients can cause at will: so many lines of each event and
 * minute, and then one that says how many were left out.
 */
export function rateLimited(
  log: Log,
  linesMax = LOG_LINES_PER_MINUTE_MAX,
  now = () => performance.now(),
): Log {
  const windows = new Map<string, { since: number; lines: number }>();
  const spare =
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
    debug: spare("debug"),
    info: spare("info"),
    warn: spare("warn"),
    error: spare("error"),
  };
}

const encoder = new TextEncoder();

function writeStandardOutput(line: string): void {
  let bytes = encoder.encode(line);
  try {
    while (bytes.length > 0) {
      bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
    }
  } catch {
    // The reader of our output is gone. The server's work does not depend on being watched.
  }
}

/** A line of text for people: time, level, event, then the fields, and a fault's stack in one. */
export function asText(jsonLine: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(jsonLine);
  const details = Object.entries(fields)
    .map(([name, value]) => ` ${name}=${JSON.stringify(value)}`)
    .join("");
  const fault = err === undefined
    ? ""
    : ` err=${JSON.stringify(err.stack ?? err.message ?? err)}`;
  return `${time.slice(11, 23)} ${level.padEnd(5)} ${msg}${details}${fault}\n`;
}

export function createLog(
  level: LogLevel,
  format: LogFormat,
  write: (line: string) => void = writeStandardOutput,
): Log {
  const writeLine = (json: string) => {
    const line = json.replace(QUOTED_TOKENS, "$1[redacted]");
    write(format === "json" ? line : asText(line));
  };
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS, censor: "[redacted]" },
    },
    { write: writeLine },
  );
}
