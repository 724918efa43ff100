/**
 * Makes the README's picture of the demo page, in five minutes:
 * `deno run -A tests/browser/screenshot.ts [file] [width] [height] [seconds between two events]`.
 *
 * Server, page and users are real. Default: `docs/screenshot.png`, 1280 by 800 pixels, 28 s.
 *
 * @module
 */
import { launchPlaywright } from "../support/chromium.ts";
import { ROOT, startServer } from "../support/server.ts";

const [file = `${ROOT}docs/screenshot.png`, ...numbers] = Deno.args;
const [width = 1_280, height = 800, pauseSeconds = 28] = numbers.map(Number);

await using server = await startServer();
const browser = await launchPlaywright("/usr/bin/chromium");
try {
  const context = await browser.newContext({
    ...{ viewport: { width, height }, locale: "en-GB" },
    reducedMotion: "reduce",
  });
  const open = async (username: string) => {
    const page = await context.newPage();
    await page.goto(`${server.url}?user=${username}`);
    await page.locator("#state[data-state=connected]").waitFor();
    return page;
  };
  const crowd = async (options: RequestInit) => {
    const response = await fetch(`${server.url}demo/crowd`, options);
    await response.body?.cancel();
  };
  const addUsers = (add: number) => () =>
    crowd({ method: "POST", body: JSON.stringify({ add }) });
  const page = await open("ada");
  // Events at different times, so that the chart has a shape.
  for (
    const event of [
      ...["bob", "chen", "dora"].map((username) => () => open(username)),
      addUsers(5),
      addUsers(10),
      () => crowd({ method: "DELETE" }),
      () => open("emre"),
      addUsers(9),
      addUsers(5),
    ]
  ) {
    await new Promise((resolve) => setTimeout(resolve, pauseSeconds * 1_000));
    await event();
  }
  await new Promise((resolve) => setTimeout(resolve, pauseSeconds * 1_000));
  await page.bringToFront();
  await page.screenshot({ path: file });
} finally {
  await browser.close();
}
