/**
 * Headless Chromium for a test file.
 *
 * @module
 */
import { type Browser, chromium, type Page } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const FOLDERS = ["/usr/bin", ...(Deno.env.get("PATH") ?? "").split(":")];

const executablePath = FOLDERS
  .flatMap((folder) => NAMES.map((name) => `${folder}/${name}`))
  .find(isFile);

/** Why browser tests cannot run here, or `undefined` when they can. */
export const browserIsMissing: string | undefined = executablePath === undefined
  ? `skipping the browser tests: none of ${NAMES.join(", ")} is on the PATH`
  : undefined;

export async function launchBrowser(): Promise<Browser> {
  if (executablePath === undefined) throw new Error(browserIsMissing);
  return await chromium.launch({
    executablePath,
    args: [
      // Root, as in containers, cannot have Chromium's sandbox.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

interface TraceEvent {
  readonly name: string;
  readonly cat: string;
  readonly pid: number;
  readonly tid: number;
  readonly args: { readonly name?: string };
  /** CPU time of the thread in microseconds. */
  readonly tdur?: number;
}

/**
 * The CPU time of each task on the main threads of pages while `work` runs, in milliseconds.
 * Unlike their duration it does not grow on a busy machine, where a task waits for the CPU.
 */
export async function tasksCpuMs(
  browser: Browser,
  page: Page,
  work: () => Promise<void>,
): Promise<number[]> {
  const categories = ["-*", "disabled-by-default-devtools.timeline"];
  await browser.startTracing(page, { categories });
  try {
    await work();
  } catch (err) {
    await browser.stopTracing();
    throw err;
  }
  const trace = new TextDecoder().decode(await browser.stopTracing());
  const { traceEvents }: { traceEvents: TraceEvent[] } = JSON.parse(trace);
  const threads = new Set(
    traceEvents.filter(({ args }) => args.name === "CrRendererMain")
      .map(({ pid, tid }) => `${pid} ${tid}`),
  );
  return traceEvents
    .filter(({ name, pid, tid }) =>
      name === "RunTask" && threads.has(`${pid} ${tid}`)
    )
    .map(({ tdur = 0 }) => tdur / 1_000);
}
