/**
 * The log: one line per event on standard output, as JSON or as text.
 *
 * @module
 */
import pino from "pino";

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

/** A line of text for people: time, level, event, then the fields. */
export function asText(jsonLine: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(jsonLine);
  const details = Object.entries(fields)
    .map(([name, value]) => ` ${name}=${JSON.stringify(value)}`)
    .join("");
  const fault = err === undefined
    ? ""
    : `\n  ${err.stack ?? err.message ?? JSON.stringify(err)}`;
  return `${time.slice(11, 23)} ${level.padEnd(5)} ${msg}${details}${fault}\n`;
}

export function createLog(
  level: LogLevel,
  format: LogFormat,
  write: (line: string) => void = writeStandardOutput,
): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS, censor: "[redacted]" },
    },
    { write: format === "json" ? write : (line) => write(asText(line)) },
  );
}
