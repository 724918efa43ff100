/** The demo's page, as people use it: real Chromium, a real server, two tabs. */
import { deepEqual, equal, match } from "node:assert/strict";
import type { Browser, Page } from "playwright-core";
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
  /** Errors of the page's own, which no test may cause. */
  readonly errors: readonly string[];
  connected(): Promise<void>;
  listShows(names: readonly string[]): Promise<void>;
  logShows(text: string): Promise<void>;
}

async function openTab(path: string, url = server.url): Promise<Tab> {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(url + path);
  const texts = (selector: string) => page.locator(selector).allTextContents();
  return {
    page,
    errors,
    connected: async () => {
      await page.locator("#state[data-state=connected]").waitFor();
    },
    listShows: (names) =>
      until(
        `the list is ${names}`,
        async () => (await texts("#online .name")).join() === names.join(),
      ).then(() => {}),
    logShows: (text) =>
      until(
        `the log shows ${text}`,
        async () => (await texts("#log span")).some((entry) => entry === text),
      ).then(() => {}),
    [Symbol.asyncDispose]: async () => {
      await page.close();
      deepEqual(errors, []);
    },
  };
}

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
    await ada.listShows(["ada", "bob"]);
  },
);

browserTest("the page works without a mouse", async () => {
  await using tab = await openTab("");
  const { page } = tab;
  await page.locator("#user option").first().waitFor({ state: "attached" });
  await page.keyboard.press("Tab");
  equal(await page.evaluate("document.activeElement.id"), "user");
  await page.keyboard.type("chen");
  await page.keyboard.press("Tab");
  equal(await page.evaluate("document.activeElement.id"), "connect");
  await page.keyboard.press("Enter");
  await tab.connected();
  match(await page.locator("#state").textContent() ?? "", /Connected as chen/);
  await tab.listShows(["chen"]);
  await page.locator("#disconnect").focus();
  await page.keyboard.press("Enter");
  await tab.listShows([]);
});

browserTest(
  "a server that restarts under the page is found again",
  async () => {
    const cwd = await Deno.makeTempDir({ prefix: "rollcall-test-" });
    const first = await startServer({ cwd, env: { DRAIN_MS: "0" } });
    await using ada = await openTab("?user=ada", first.url);
    await using bob = await openTab("?user=bob", first.url);
    await ada.listShows(["ada", "bob"]);
    equal(await first.stop(), 0);
    await ada.page.locator("#state[data-state=waiting]").waitFor();
    await bob.page.close();

    const second = await startServer({
      cwd,
      env: { PORT: new URL(first.url).port },
    });
    await ada.connected();
    await ada.listShows(["ada"]);
    await Promise.all([first, second].map((one) => one[Symbol.asyncDispose]()));
    await Deno.remove(cwd, { recursive: true });
  },
);

browserTest("a username is text, whatever is in it", async () => {
  const cwd = await Deno.makeTempDir({ prefix: "rollcall-test-" });
  const demo = await startServer({ cwd });
  const name = `</script><img src=x onerror=alert(1)> "quotes" \u{1F600}`;
  const url = (await Deno.readTextFile(`${cwd}/.data/url`)).trim();
  await query(url, "update users set username = $1 where id = 2", [name]);
  {
    await using ada = await openTab("?user=ada", demo.url);
    await ada.connected();
    await using bob = await openTab("?user=bob", demo.url);
    await bob.connected();
    await ada.listShows(["ada", name]);
    await ada.logShows(`${name} came online`);
    equal(await ada.page.locator("img").count(), 0);
  }
  await demo[Symbol.asyncDispose]();
  await Deno.remove(cwd, { recursive: true });
});
