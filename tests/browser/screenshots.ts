/**
 * Makes the pictures of the demo page in `docs/`, in a minute: `deno task screenshots`.
 *
 * Server, page, users and connections are real.
 *
 * @module
 */
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { launchPlaywright } from "../support/chromium.ts";
import { ROOT, startServer, type TestServer } from "../support/server.ts";

const DESKTOP = { width: 1_280, height: 800 };
const PHONE = { width: 390, height: 844 };
const CROWD = 200;

const sleep = (seconds: number) =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1_000));

/** The page in a window of its own. */
async function open(
  browser: Browser,
  server: TestServer,
  username: string,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const page = await browser.newPage({
    ...{ viewport: DESKTOP, locale: "en-GB", reducedMotion: "reduce" },
    ...options,
  });
  await page.goto(`${server.url}?user=${username}`);
  await page.locator("#state[data-state=connected]").waitFor();
  return page;
}

async function save(page: Page, name: string): Promise<void> {
  await page.bringToFront();
  await page.screenshot({ path: `${ROOT}docs/screenshot-${name}.png` });
}

/** Five people. One of them has just left. */
async function takePeople(browser: Browser, server: TestServer): Promise<void> {
  const page = await open(browser, server, "ada");
  await sleep(8);
  for (const username of ["bob", "chen", "emre"]) {
    await open(browser, server, username);
    await sleep(5);
  }
  const dora = await open(browser, server, "dora");
  await sleep(11);
  await dora.close();
  await page.locator(".leaving").waitFor();
  await save(page, "people");
}

/** The same people in a crowd, in a dark window, and on a phone. */
async function takeCrowd(browser: Browser, server: TestServer): Promise<void> {
  const dark = { colorScheme: "dark" } as const;
  const desktop = await open(browser, server, "ada", dark);
  const phone = await open(browser, server, "ada", { viewport: PHONE });
  await sleep(10);
  const body = JSON.stringify({ add: CROWD });
  await fetch(`${server.url}demo/crowd`, { method: "POST", body });
  await sleep(10);
  await open(browser, server, "dora");
  await sleep(12);
  await save(desktop, "crowd");
  await save(phone, "phone");
}

/** The window of somebody in one team, while people of both are online. */
async function takeTeams(browser: Browser, server: TestServer): Promise<void> {
  for (const username of ["bob", "chen", "dora", "emre"]) {
    await open(browser, server, username);
  }
  const page = await open(browser, server, "ada");
  await sleep(8);
  await save(page, "teams");
}

await using server = await startServer();
await using grouped = await startServer({ env: { DEMO_TEAMS: "true" } });
const browser = await launchPlaywright("/usr/bin/chromium");
try {
  await takePeople(browser, server);
  await takeCrowd(browser, server);
  await takeTeams(browser, grouped);
} finally {
  await browser.close();
}
