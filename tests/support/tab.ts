/**
 * The demo page in windows of real browsers.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import {
  type Browser,
  type BrowserName,
  BROWSERS,
  type Page,
} from "./browser.ts";
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
  /** The text of each element that matches. */
  texts(selector: string): Promise<string[]>;
  attribute(selector: string, name: string): Promise<string>;
  /** Clicks on the middle of an element, as soon as it is there and enabled. */
  click(selector: string): Promise<void>;
}

export interface TabOptions {
  /** Default: that of the server of all tests of the file. */
  readonly url?: string;
  readonly width?: number;
}

export interface PageTests {
  /** The server of all tests of the file. */
  readonly server: TestServer;
  /** The browser of the test that runs. */
  readonly browser: BrowserName;
  /** A test for each of these browsers. Default: all. */
  test(
    name: string,
    fn: () => Promise<void>,
    browsers?: readonly BrowserName[],
  ): void;
  /** Disposing of it closes the page, and fails if there were errors on it. */
  open(path: string, options?: TabOptions): Promise<Tab>;
}

/** One server for a file's tests, which run in each browser that is installed. */
export function pageTests(options: ServerOptions = {}): PageTests {
  const launched = new Map<BrowserName, Promise<Browser>>();
  let server: TestServer;
  let current: BrowserName = "Chromium";
  for (const { missing } of BROWSERS) {
    if (missing === undefined) continue;
    Deno.stderr.writeSync(new TextEncoder().encode(`${missing}\n`));
  }
  Deno.test.beforeAll(async () => {
    server = await startServer(options);
  });
  Deno.test.afterAll(async () => {
    for (const browser of launched.values()) {
      await (await browser)[Symbol.asyncDispose]();
    }
    await server[Symbol.asyncDispose]();
  });
  const openPage = async () => {
    const found = BROWSERS.find(({ name }) => name === current);
    const browser = launched.get(current) ?? found?.launch();
    if (browser === undefined) throw new Error(`There is no ${current}`);
    launched.set(current, browser);
    return await (await browser).open();
  };
  return {
    get server() {
      return server;
    },
    get browser() {
      return current;
    },
    test: (name, fn, browsers) => {
      for (const browser of BROWSERS) {
        if (browsers?.includes(browser.name) === false) continue;
        Deno.test({
          name: `${name} (${browser.name})`,
          ignore: browser.missing !== undefined,
          // What keeps a browser alive is busy over the borders of tests.
          sanitizeOps: false,
          sanitizeResources: false,
          fn: async () => {
            current = browser.name;
            await fn();
          },
        });
      }
    },
    open: async (path, { url = server.url, width } = {}) => {
      const page = await openPage();
      if (width !== undefined) await page.resize(width, 844);
      await page.goto(url + path);
      return attend(page);
    },
  };
}

/** A text as JavaScript. */
const quote = JSON.stringify;

function attend(page: Page): Tab {
  const texts = (selector: string) =>
    page.evaluate<string[]>(
      `Array.from(document.querySelectorAll(${
        quote(selector)
      }), ({ textContent }) => textContent)`,
    );
  const count = async () =>
    Number((await texts("#count")).join().replace(",", ""));
  const logOf = async (about: RegExp) =>
    (await texts("#log li > span")).filter((entry) => about.test(entry));
  const shows = async (selector: string, pattern: RegExp) => {
    await until(
      `${selector} shows ${pattern}`,
      async () => pattern.test((await texts(selector)).join()),
    );
  };
  return {
    ...{ page, texts, shows, log: logOf },
    logIs: (about, entries) =>
      untilEqual(`the log about ${about} is right`, () => logOf(about), [
        ...entries,
      ]),
    connected: async () => {
      const selector = "#state[data-state=connected]";
      await until(
        "the page is connected",
        async () => (await texts(selector)).length === 1,
      );
    },
    stateMatches: (pattern) => shows("#state", pattern),
    listShows: (names) =>
      untilEqual(
        `the list and its count show ${names.join() || "nobody"}`,
        async () => ({
          names: await texts("#online li:not(.leaving) .name"),
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
    attribute: (selector, name) =>
      page.evaluate(
        `document.querySelector(${quote(selector)})?.getAttribute(${
          quote(name)
        }) ?? ""`,
      ),
    click: async (selector) => {
      const [x, y] = await until(
        `${selector} can be clicked`,
        async () =>
          await page.evaluate<[number, number] | null>(`(() => {
            const element = document.querySelector(${quote(selector)});
            if (element === null || element.disabled) return null;
            element.scrollIntoView({ block: "center", behavior: "instant" });
            const { x, y, width, height } = element.getBoundingClientRect();
            return [x + width / 2, y + height / 2];
          })()`) ?? undefined,
      );
      await page.clickAt(x, y);
    },
    [Symbol.asyncDispose]: async () => {
      const faults = await page.faults();
      await page.close();
      deepEqual(faults, []);
    },
  };
}
