/**
 * The demo page in a tab of a real browser.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import type { Browser, Page, WebSocketRoute } from "playwright-core";
import type { ServerMessage } from "../../src/protocol/messages.ts";
import { browserIsMissing, launchBrowser, tasksCpuMs } from "./browser.ts";
import { type ServerOptions, startServer, type TestServer } from "./server.ts";
import { until, untilEqual } from "./until.ts";

export interface Tab extends AsyncDisposable {
  readonly page: Page;
  connected(): Promise<void>;
  stateMatches(pattern: RegExp): Promise<void>;
  listShows(names: readonly string[]): Promise<void>;
  countIs(what: string, isRight: (count: number) => boolean): Promise<number>;
  logShows(text: string): Promise<void>;
  /** The entries of the log that match, newest first. */
  log(about: RegExp): Promise<string[]>;
  /** Waits until these are the entries that match, newest first. */
  logIs(about: RegExp, entries: readonly string[]): Promise<void>;
  /** Waits until the text of an element matches. */
  shows(selector: string, pattern: RegExp): Promise<void>;
}

export interface TabOptions {
  readonly url?: string;
  /** What to put between the page and the server, before the page loads. */
  readonly prepare?: (page: Page) => Promise<unknown>;
}

export interface PageTests {
  /** The server of all tests of the file. */
  readonly server: TestServer;
  test(name: string, fn: () => Promise<void>): void;
  /** Disposing of it closes the page, and fails if there were errors on it. */
  open(path: string, options?: TabOptions): Promise<Tab>;
  /** The CPU time of each task of a page while `work` runs, in milliseconds. */
  tasksCpuMs(tab: Tab, work: () => Promise<void>): Promise<number[]>;
}

/** One browser and one server for a file's tests; without a browser they are skipped. */
export function pageTests(options: ServerOptions = {}): PageTests {
  let browser: Browser;
  let server: TestServer;
  if (browserIsMissing !== undefined) {
    Deno.stderr.writeSync(new TextEncoder().encode(`${browserIsMissing}\n`));
  }
  Deno.test.beforeAll(async () => {
    if (browserIsMissing !== undefined) return;
    browser = await launchBrowser();
    server = await startServer(options);
  });
  Deno.test.afterAll(async () => {
    if (browserIsMissing !== undefined) return;
    await browser.close();
    await server[Symbol.asyncDispose]();
  });
  return {
    get server() {
      return server;
    },
    test: (name, fn) =>
      Deno.test({
        name,
        fn,
        ignore: browserIsMissing !== undefined,
        // Playwright keeps its pipe to the browser busy over the borders of tests.
        sanitizeOps: false,
        sanitizeResources: false,
      }),
    tasksCpuMs: ({ page }, work) => tasksCpuMs(browser, page, work),
    open: async (path, { url = server.url, prepare } = {}) => {
      const page = await browser.newPage();
      const tab = attend(page);
      await prepare?.(page);
      await page.goto(url + path);
      return tab;
    },
  };
}

function attend(page: Page): Tab {
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.text().includes("Security Policy")) faults.push(message.text());
  });
  const texts = (selector: string) => page.locator(selector).allTextContents();
  const count = async () =>
    Number((await texts("#count")).join().replace(",", ""));
  const logOf = async (about: RegExp) =>
    (await texts("#log li > span")).filter((entry) => about.test(entry));
  return {
    page,
    log: logOf,
    logIs: (about, entries) =>
      untilEqual(`the log about ${about} is right`, () => logOf(about), [
        ...entries,
      ]),
    shows: async (selector, pattern) => {
      await until(
        `${selector} shows ${pattern}`,
        async () => pattern.test((await texts(selector)).join()),
      );
    },
    connected: () => page.locator("#state[data-state=connected]").waitFor(),
    stateMatches: async (pattern) => {
      await until(
        `the state matches ${pattern}`,
        async () => pattern.test((await texts("#state")).join()),
      );
    },
    listShows: (names) =>
      untilEqual(
        `the list and its count show ${names.join() || "nobody"}`,
        async () => ({
          names: await texts("#online .name"),
          count: await count(),
        }),
        { names: [...names], count: names.length },
      ),
    countIs: (what, isRight) =>
      until(`${what} are online`, async () => {
        const now = await count();
        return isRight(now) && now;
      }),
    logShows: async (text) => {
      await until(
        `the log shows ${text}`,
        async () => (await texts("#log li > span")).includes(text),
      );
    },
    [Symbol.asyncDispose]: async () => {
      await page.close();
      deepEqual(faults, []);
    },
  };
}

/** Holds every request for a path back until `open` is called. */
export function gate(pattern: string): {
  readonly held: Promise<void>;
  readonly open: () => void;
  readonly prepare: (page: Page) => Promise<unknown>;
} {
  const { promise, resolve } = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  return {
    held: held.promise,
    open: resolve,
    prepare: (page) =>
      page.route(pattern, async (route) => {
        held.resolve();
        await promise;
        await route.continue();
      }),
  };
}

/** Plays the server for each socket that the page opens. */
export function fakeServer(
  play: (socket: WebSocketRoute, nth: number) => void,
): {
  readonly prepare: (page: Page) => Promise<unknown>;
  readonly count: number;
} {
  let count = 0;
  return {
    prepare: (page) =>
      page.routeWebSocket("**/ws*", (socket) => play(socket, count++)),
    get count() {
      return count;
    },
  };
}

export function sendTo(socket: WebSocketRoute, message: ServerMessage): void {
  socket.send(JSON.stringify(message));
}
