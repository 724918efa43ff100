/**
 * Chromium, through Playwright. It is the only browser that tells the CPU time of a page's tasks.
 *
 * @module
 */
import {
  type Browser as PlaywrightBrowser,
  chromium,
  type Page as PlaywrightPage,
} from "playwright-core";
import type { Browser, Page } from "./browser.ts";

export async function launchPlaywright(
  executablePath: string,
): Promise<PlaywrightBrowser> {
  return await chromium.launch({
    executablePath,
    // Users have it.
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
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

export interface ChromiumPage extends Page {
  /**
   * The CPU time of each task on the main threads of pages while `work` runs, in milliseconds.
   * Unlike their duration it does not grow on a busy machine, where a task waits for the CPU.
   */
  tasksCpuMs(work: () => Promise<void>): Promise<number[]>;
}

export async function launchChromium(executablePath: string): Promise<Browser> {
  const browser = await launchPlaywright(executablePath);
  return {
    open: async () => toPage(browser, await browser.newPage()),
    [Symbol.asyncDispose]: () => browser.close(),
  };
}

function toPage(
  browser: PlaywrightBrowser,
  page: PlaywrightPage,
): ChromiumPage {
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.text().includes("Security Policy")) faults.push(message.text());
  });
  const { keyboard, mouse } = page;
  return {
    goto: async (url) => void await page.goto(url),
    reload: async () => void await page.reload(),
    // A page from the back/forward cache does not load again.
    back: async () => void await page.goBack({ waitUntil: "commit" }),
    evaluate: (expression) => page.evaluate(expression),
    clickAt: (x, y) => mouse.click(x, y),
    press: async (key, held = []) => {
      for (const name of held) await keyboard.down(name);
      if (key.length > 1 && !/^[A-Z]/.test(key)) await keyboard.type(key);
      else await keyboard.press(key);
      for (const name of held.toReversed()) await keyboard.up(name);
    },
    resize: (width, height) => page.setViewportSize({ width, height }),
    faults: () => Promise.resolve(faults),
    close: () => page.close(),
    setOffline: (isOffline) => page.context().setOffline(isOffline),
    tasksCpuMs: (work) => tasksCpuMs(browser, page, work),
  };
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

async function tasksCpuMs(
  browser: PlaywrightBrowser,
  page: PlaywrightPage,
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
