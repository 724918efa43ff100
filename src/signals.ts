/**
 * The signals of the process: which of them stop the server, and what SIGUSR1 may not do.
 *
 * What a stop does is not known here.
 *
 * @module
 */
import inspector from "node:inspector";
import { type Clock, systemClock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import { messageOf } from "./base/message_of.ts";
import { INSPECTOR_OPEN_MS } from "./limits.ts";

/**
 * Each signal that would end the process otherwise, without a drain, and that a person, a
 * supervisor, a container manager or the system sends: Ctrl-C, Ctrl-\, a closed terminal, a limit
 * on processor time, and the end of the machine (LXC sends SIGPWR).
 */
const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : [
    ...["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"] as const,
    "SIGXCPU",
    ...(Deno.build.os === "linux" ? ["SIGPWR"] as const : []),
  ];

/** The first signal to stop. Later ones are ignored, because one Ctrl-C often sends two. */
export function nextStopSignal(): Promise<Deno.Signal> {
  return new Promise((resolve) => {
    for (const signal of STOP_SIGNALS) {
      Deno.addSignalListener(signal, () => resolve(signal));
    }
  });
}

/**
 * Closes Deno's inspector whenever SIGUSR1 opens it. Every user of the machine can connect to the
 * inspector, read the secrets, and run code in the server. No setting of Deno forbids it, and a
 * listener for the signal does not replace Deno's own.
 *
 * Does nothing if the operator started Deno with `--inspect`.
 */
export function keepInspectorClosed(log: Log, clock = systemClock): void {
  if (Deno.build.os === "windows") return;
  let endsAt = -Infinity;
  const listener = () => {
    const isWatched = clock.now() < endsAt;
    endsAt = clock.now() + INSPECTOR_OPEN_MS;
    if (!isWatched) void closeInspector(() => endsAt, log, clock);
  };
  try {
    if (inspector.url() !== undefined) return;
    Deno.addSignalListener("SIGUSR1", listener);
  } catch (err) {
    log.warn({ reason: messageOf(err) }, "SIGUSR1 can open the inspector");
  }
}

/**
 * Deno opens the inspector soon after its listeners were called. Of two signals that follow closely
 * the listener may see one, and Deno both, so this watches for a while and not for one opening.
 */
async function closeInspector(
  endsAt: () => number,
  log: Log,
  clock: Clock,
): Promise<void> {
  while (clock.now() < endsAt()) {
    if (inspector.url() !== undefined) {
      inspector.close();
      log.warn({}, "closed the inspector that SIGUSR1 opened");
    }
    await clock.sleep(1);
  }
}
