/**
 * Rollcall: who is online right now?
 *
 * Reads the configuration, starts the server, waits for a signal, and stops the server.
 *
 * Exit codes: 0 after a stop, 2 when the configuration or something that it names is wrong, 1
 * after any other fault.
 *
 * @module
 */
import { within } from "./src/base/clock.ts";
import type { Log } from "./src/base/log.ts";
import { messageOf } from "./src/base/message_of.ts";
import { START_ERROR_EXIT_CODE, StartError } from "./src/base/start_error.ts";
import { readArguments } from "./src/arguments.ts";
import { readConfig } from "./src/config/config.ts";
import { misspelt } from "./src/config/environment.ts";
import { readDemoSecret } from "./src/demo/demo_secret.ts";
import { requireDeno } from "./src/deno_version.ts";
import { EARLY_STOP_MS } from "./src/limits.ts";
import { dropPermissions } from "./src/permissions.ts";
import { socketPaths } from "./src/postgres/connect.ts";
import { type Server, startServer } from "./src/server.ts";
import { keepInspectorClosed, nextStopSignal } from "./src/signals.ts";
import { createLog, writeConsole } from "./src/telemetry/log_writer.ts";

if (import.meta.main) Deno.exit(await main());

async function main(): Promise<number> {
  try {
    const answer = readArguments(Deno.args);
    if (answer !== undefined) {
      Deno.stdout.writeSync(new TextEncoder().encode(`${answer}\n`));
      return 0;
    }
    requireDeno();
    const isTerminal = Deno.stdout.isTerminal();
    const env = Deno.env.toObject();
    const config = readConfig(env, readDemoSecret, isTerminal);
    // Deno exports what the console writes.
    const write = env.OTEL_DENO === "true" ? writeConsole : undefined;
    const log = createLog(config.log.level, config.log.format, write);
    keepInspectorClosed(log);
    surviveFaults(log);
    for (const one of misspelt(env)) {
      log.warn({ ...one }, "unknown variable, probably misspelt");
    }
    if (config.database.kind === "external") {
      await dropPermissions(socketPaths(config.database.url));
    }
    const signal = nextStopSignal();
    const stopping = new AbortController();
    void signal.then(() => stopping.abort());
    const starting = startServer(config, log, stopping.signal);
    const server = await Promise.race([starting, signal.then(() => undefined)]);
    if (server === undefined) {
      log.info({ signal: await signal }, "stopping before the start completed");
      return await stopEarly(starting, log);
    }
    const { url } = server;
    const socket = `${url.replace(/^http/, "ws")}ws`;
    const { host, demo } = config;
    log.info({ url, host, socket, demo }, "listening");
    if (demo) {
      log.info(
        { url },
        "try it: open the page in two tabs, connect as two users, close one tab",
      );
    }
    log.info({ signal: await signal }, "stopping");
    await server.stop();
    log.info({}, "stopped");
    return 0;
  } catch (err) {
    const isStartError = err instanceof StartError;
    const text = isStartError ? err.message : Deno.inspect(err);
    Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
    return isStartError ? START_ERROR_EXIT_CODE : 1;
  }
}

/**
 * Waits for a start in progress, and stops the server that comes of it. A database that does not
 * answer may delay the start for long, so the wait has a limit, and the process ends after it.
 */
async function stopEarly(
  starting: Promise<Server>,
  log: Log,
): Promise<number> {
  try {
    const server = await within(EARLY_STOP_MS, "the start", starting);
    await server.stop();
  } catch (err) {
    log.info({ reason: messageOf(err) }, "the start was abandoned");
  }
  return 0;
}

/** A fault in the handler of one socket must not end the process, and with it all other connections. */
function surviveFaults(log: Log): void {
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    log.error({ err: event.error }, "unhandled error");
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log.error({ err: event.reason }, "unhandled rejection");
  });
}
