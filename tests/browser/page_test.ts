/**
 * The demo's page, as people use it: real Chromium, a real server, two tabs.
 *
 * Where the order of events matters, the page's requests are held back or its socket is
 * played by the test; everything else is real.
 */
import { deepEqual, equal, match } from "node:assert/strict";
import type { Browser, Page, WebSocketRoute } from "playwright-core";
import { CLOSE } from "../../src/protocol.ts";
import { browserIsMissing, launchBrowser } from "../support/browser.ts";
import { query } from "../support/database.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

if (browserIsMissing !== undefined) {
  Deno.stderr.writeSync(new TextEncoder().encode(`${browserIsMissing}\n`));
}

let browser: Browser;
let server: TestServer;

Deno.test.beforeAll(async () => {
  if (browserIsMissing !== undefined) return;
  browser = await launchBrowser();
  server = await startServer();
});
Deno.test.afterAll(async () => {
  if (browserIsMissing !== undefined) return;
  await browser.close();
  await server[Symbol.asyncDispose]();
});

function browserTest(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name,
    fn,
    ignore: browserIsMissing !== undefined,
    // Playwright keeps its pipe to the browser busy over the borders of tests.
    sanitizeOps: false,
    sanitizeResources: false,
  });
}

interface Tab extends AsyncDisposable {
  readonly page: Page;
  connected(): Promise<void>;
  stateMatches(pattern: RegExp): Promise<void>;
  listShows(names: readonly string[]): Promise<void>;
  logShows(text: string): Promise<void>;
  /** The log's entries about this or that, the newest first. */
  log(about: RegExp): Promise<string[]>;
}

interface TabOptions {
  readonly url?: string;
  /** What to put between the page and the server, before the page loads. */
  readonly prepare?: (page: Page) => Promise<unknown>;
}

async function openTab(
  path: string,
  { url = server.url, prepare }: TabOptions = {},
): Promise<Tab> {
  const page = await browser.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.text().includes("Security Policy")) faults.push(message.text());
  });
  await prepare?.(page);
  await page.goto(url + path);
  const texts = (selector: string) => page.locator(selector).allTextContents();
  const log = async (about: RegExp) =>
    (await texts("#log li > span")).filter((entry) => about.test(entry));
  return {
    page,
    log,
    connected: () => page.locator("[data-state=connected]").waitFor(),
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
      equal(await page.locator("#count").textContent(), `${names.length}`);
    },
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
function gate(pattern: string) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  return {
    held: held.promise,
    open: resolve,
    prepare: (page: Page) =>
      page.route(pattern, async (route) => {
        held.resolve();
        await promise;
        await route.continue();
      }),
  };
}

/** Plays the server's end of each socket that the page opens. */
function playSocket(play: (socket: WebSocketRoute, nth: number) => void) {
  let count = 0;
  return {
    prepare: (page: Page) =>
      page.routeWebSocket("**/ws", (socket) => play(socket, count++)),
    get count() {
      return count;
    },
  };
}

async function scratchFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir({ prefix: "rollcall-test-" });
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

const message = (type: string, userId: number) =>
  JSON.stringify({ type, userId });

browserTest("[P2][P4] two tabs see each other come and go", async () => {
  await using ada = await openTab("?user=ada");
  await ada.connected();
  await ada.listShows(["ada"]);
  {
    await using bob = await openTab("?user=bob");
    await bob.connected();
    await bob.listShows(["ada", "bob"]);
    await ada.listShows(["ada", "bob"]);
    await ada.logShows("bob came online");
  }
  await ada.listShows(["ada"]);
  await ada.logShows("bob went offline");
});

browserTest(
  "[P6] after a reload of one tab the other's list is right",
  async () => {
    await using ada = await openTab("?user=ada");
    await using bob = await openTab("?user=bob");
    await ada.listShows(["ada", "bob"]);
    await bob.page.reload();
    await bob.connected();
    await bob.listShows(["ada", "bob"]);
    // Transitions come in order, so with chen there, what the reload caused is over.
    await using chen = await openTab("?user=chen");
    await chen.connected();
    await ada.listShows(["ada", "bob", "chen"]);
  },
);

browserTest("the page works without a mouse", async () => {
  await using tab = await openTab("");
  const { keyboard } = tab.page;
  const focused = () => tab.page.evaluate("document.activeElement.id");
  await tab.page.locator("#connect:enabled").waitFor();
  await keyboard.press("Tab");
  equal(await focused(), "user");
  await keyboard.type("dora");
  await keyboard.press("Tab");
  equal(await focused(), "connect");
  await keyboard.press("Enter");
  await tab.stateMatches(/^Connected as dora$/);
  match(
    (await tab.page.locator("#online li").allTextContents()).join(),
    /dora/,
  );
  equal(await focused(), "connect");
  await keyboard.press("Enter");
  await tab.stateMatches(/^Not connected$/);
  deepEqual(await tab.log(/^You /), [
    "You disconnected",
    "You connected as dora",
  ]);
});

browserTest(
  "a server that restarts under the page is found again",
  async () => {
    await using folder = await scratchFolder();
    const first = await startServer({
      cwd: folder.path,
      env: { DRAIN_MS: "0" },
    });
    await using _first = first;
    await using ada = await openTab("?user=ada", { url: first.url });
    {
      await using bob = await openTab("?user=bob", { url: first.url });
      await bob.connected();
      await ada.listShows(["ada", "bob"]);
      equal(await first.stop(), 0);
      await ada.stateMatches(/^Reconnecting in \d+ s/);
    }
    await using _second = await startServer({
      cwd: folder.path,
      env: { PORT: new URL(first.url).port },
    });
    await ada.connected();
    await ada.listShows(["ada"]);
    await ada.logShows("Your connection ended: server going away (1001)");
  },
);

browserTest("a username is text, whatever is in it", async () => {
  await using folder = await scratchFolder();
  await using demo = await startServer({ cwd: folder.path });
  const name = `</script><img src=x onerror=alert(1)> "quotes" \u{1F600}`;
  const url = (await Deno.readTextFile(`${folder.path}/.data/url`)).trim();
  await query(url, "update users set username = $1 where id = 2", [name]);
  await using ada = await openTab("?user=ada", { url: demo.url });
  await ada.connected();
  {
    await using bob = await openTab("?user=bob", { url: demo.url });
    await bob.connected();
    await ada.listShows(["ada", name]);
    await ada.logShows(`${name} came online`);
  }
  await ada.logShows(`${name} went offline`);
  equal(await ada.page.locator("img").count(), 0);
});

browserTest("what is heard while the list is on its way wins", async () => {
  let played: WebSocketRoute | undefined;
  const socket = playSocket((socket) => played = socket);
  await using ada = await openTab("?user=ada", {
    prepare: async (page) => {
      await socket.prepare(page);
      await page.route("**/users/online?ids=3", (route) => {
        const users = [{ id: 3, username: "chen" }];
        return route.fulfill({ json: { online_users: users } });
      });
      await page.route("**/users/online", async (route) => {
        played?.send(message("user_offline", 2));
        played?.send(message("user_online", 3));
        // The page answers in order, so by now it has heard both.
        if (played !== undefined) await page.evaluate("0");
        const users = [{ id: 2, username: "bob" }, { id: 6, username: "fay" }];
        await route.fulfill({ json: { online_users: users } });
      });
    },
  });
  await ada.connected();
  await ada.listShows(["ada", "chen", "fay"]);
  deepEqual(await ada.log(/./), [
    "chen came online",
    "bob went offline",
    "You connected as ada",
  ]);
});

browserTest("the log keeps the order when a name comes late", async () => {
  const names = gate("**/users/online?ids=*");
  await using ada = await openTab("?user=ada", names);
  await ada.connected();
  {
    await using emre = await openTab("?user=emre");
    await emre.connected();
    await names.held;
  }
  await ada.logShows("user 5 went offline");
  names.open();
  deepEqual(await ada.log(/^user 5/), [
    "user 5 went offline",
    "user 5 came online",
  ]);
});

browserTest("whoever disconnects while connecting stays so", async () => {
  const token = gate("**/demo/token*");
  let sockets = 0;
  await using tab = await openTab("", token);
  tab.page.on("websocket", () => sockets += 1);
  const button = tab.page.locator("#connect:enabled");
  await button.click();
  await token.held;
  await button.click();
  token.open();
  // Once the second connection is there, the first is not merely late.
  await tab.page.locator("#user").selectOption("bob");
  await button.click();
  await tab.stateMatches(/^Connected as bob$/);
  deepEqual(await tab.log(/^You /), [
    "You connected as bob",
    "You disconnected",
  ]);
  equal(sockets, 1);
});

browserTest("a list that cannot be read is tried again", async () => {
  let isBroken = true;
  await using ada = await openTab("?user=ada", {
    prepare: (page) =>
      page.route("**/users/online", (route) => {
        return isBroken ? route.abort() : route.continue();
      }),
  });
  await ada.stateMatches(/^Reconnecting in \d+ s/);
  isBroken = false;
  await ada.connected();
});

for (const { code, meaning, reconnect } of Object.values(CLOSE)) {
  const isFinal = reconnect === "no";
  browserTest(
    `closed with ${code}, the page ${isFinal ? "stays away" : "comes back"}`,
    async () => {
      const socket = playSocket((socket, nth) => {
        if (nth === 0) socket.close({ code, reason: meaning });
      });
      await using ada = await openTab("?user=ada", socket);
      await ada.logShows(`Your connection ended: ${meaning} (${code})`);
      if (!isFinal) return await ada.connected();
      await ada.stateMatches(/^Disconnected: /);
      equal(await ada.page.locator("#connect").textContent(), "Connect");
      equal(socket.count, 1);
    },
  );
}
