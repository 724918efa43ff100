/**
 * The log writer writes one line for each event to standard output, as JSON or as text.
 *
 * It keeps secrets out of the lines, and the last warnings for administrators. It does not know
 * which events there are.
 *
 * @module
 */
import pino from "pino";
import type { Log, LogFormat, LogLevel } from "../base/log.ts";
import { recentWarnings } from "./recent_warnings.ts";

/** Values under these names are replaced in every line, whichever part logs them. */
const SECRET_FIELDS = ["token", "password", "secret", "authorization"];

/** The message of an error may quote a URL or a header, and with it a token. */
const QUOTED_TOKENS = /([?&]token=|\bbearer[. ] ?)[^&'"\s\\]+/gi;

/** The level comes first in a line. */
const LEVEL = /^\{"level":"(\w+)"/;

/**
 * @param level Events below it are not written.
 * @param write Takes each line, with its line break. Default: standard output.
 */
export function createLog(
  level: LogLevel,
  format: LogFormat,
  write: (line: string, level: LogLevel) => void = writeStandardOutput,
): Log {
  const writeLine = (json: string) => {
    const line = json.replace(QUOTED_TOKENS, "$1[redacted]");
    recentWarnings.add(line);
    const [, level] = LEVEL.exec(line) ?? [];
    write(format === "json" ? line : asText(line), level as LogLevel);
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

/** Turns a JSON line into text: time, level, event, fields, and an error with its stack in one line. */
function asText(jsonLine: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(jsonLine);
  const details = Object.entries(fields)
    .map(([name, value]) => ` ${name}=${JSON.stringify(value)}`)
    .join("");
  const fault = err === undefined
    ? ""
    : ` err=${JSON.stringify(err.stack ?? err.message ?? err)}`;
  return `${time.slice(11, 23)} ${level.padEnd(5)} ${msg}${details}${fault}\n`;
}

/**
 * Writes with the console, from which Deno exports lines to OpenTelemetry with their levels. The
 * console writes warnings and errors to standard error.
 */
export function writeConsole(line: string, level: LogLevel): void {
  // deno-lint-ignore no-console
  console[level](line.trimEnd());
}

const encoder = new TextEncoder();

function writeStandardOutput(line: string): void {
  let bytes = encoder.encode(line);
  try {
    while (bytes.length > 0) {
      bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
    }
  } catch {
    // Nothing reads our output any more. The server works without its log.
  }
}
