/**
 * The demo's page in a tab of a real browser, and what a test asks of it.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import type { Browser, Page, WebSocketRoute } from "playwright-core";
import type { ServerMessage } from "../../src/protocol/messages.ts";
import { browserIsMissing, launchBrowser } from "./browser.ts";
import { type ServerOptions, startServer, type TestServer } from "./server.ts";
import { until } from "./until.ts";

export interface Tab extends AsyncDisposable {
  readonly page: Page;
  connected(): Promise<void>;
  stateMatches(pattern: RegExp): Promise<void>;
  listShows(names: readonly string[]): Promise<void>;
  countIs(what: string, isRight: (count: number) => boolean): Promise<number>;
  logShows(text: string): Promise<void>;
  /** The log's entries about this or that, the newest first. */
  log(about: RegExp): Promise<string[]>;
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
  return {
    page,
    log: async (about) =>
      (await texts("#log li > span")).filter((entry) => about.test(entry)),
    connected: () => page.locator("#state[data-state=connected]").waitFor(),
    stateMatches: async (pattern) => {
      await until(
        `the state matches ${pattern}`,
        async () => pattern.test((await texts("#state")).join()),
      );
    },
    listShows: async (names) => {
      await until(
        `the list is ${names}`,
        async () => (await texts("#online .name")).join() === names.join(),
      );
      equal(await count(), names.length);
    },
    countIs: (what, isRight) =>
      until(`${what} are online`, async () => {
        const now = await count();
        return isRight(now) && now;
      }, 20_000),
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

/** Plays the server's end of each socket that the page opens. */
export function playSocket(
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

export function say(socket: WebSocketRoute, message: ServerMessage): void {
  socket.send(JSON.stringify(message));
}

/** A folder for a server that is started more than once, or whose files a test reads. */
export async function scratchFolder(): Promise<
  AsyncDisposable & { readonly path: string }
> {
  const path = await Deno.makeTempDir({ prefix: "rollcall-test-" });
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}
