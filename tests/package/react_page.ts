/**
 * The page of the application in `consumer/`: rendered on a server, built by Vite with React's checks
 * for development, and open in Chromium.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import { BROWSERS, type Page } from "../support/browser.ts";
import { tokenFor } from "../support/client.ts";
import { startFront } from "../support/front.ts";
import { untilEqual } from "../support/until.ts";
import type { Consumer } from "./consumer.ts";

const chromium = BROWSERS.find(({ name }) => name === "Chromium");

/** Whether Chromium is there. */
export const hasChromium = chromium?.missing === undefined;

/** The settings of `App`. */
export interface Settings {
  readonly isLoggedIn: boolean;
  readonly watch: readonly number[] | "*";
}

export interface ReactPage extends AsyncDisposable {
  readonly page: Page;
  /** How many sockets the page has made, and how many of them are not closed. */
  sockets(): Promise<{ made: number; open: number }>;
  /** Waits until the list and the dots show this. */
  shows(list: string, ...dots: string[]): Promise<void>;
  /** Renders `App` again, with other settings. */
  render(settings: Settings): Promise<void>;
  unmount(): Promise<void>;
}

/** Renders the application on the server, and returns the HTML. */
export async function renderOnServer({ run }: Consumer): Promise<string> {
  await run([
    ...["node_modules/.bin/esbuild", "app/server.tsx", "--bundle"],
    ...["--platform=node", "--format=esm", "--packages=external"],
    "--outfile=server.mjs",
  ]);
  return (await run(["node", "server.mjs"])).trim();
}

/** Opens the page as user 1. Disposing of it closes it, and fails if there were errors on it. */
export async function openReactPage(
  consumer: Consumer,
  serverUrl: string,
): Promise<ReactPage> {
  const { folder, run } = consumer;
  await run(
    ["node_modules/.bin/vite", "build", "--mode", "development"],
    { NODE_ENV: "development" },
  );
  const html = await Deno.readTextFile(`${folder}/dist/index.html`);
  const app = await renderOnServer(consumer);
  const answer = async (_method: string, path: string) => {
    if (path === "/token") return new Response(await tokenFor(1));
    if (path === "/application") {
      const headers = { "content-type": "text/html" };
      return new Response(html.replace("<!--app-->", app), { headers });
    }
    if (!path.startsWith("/assets/")) return undefined;
    const headers = { "content-type": "text/javascript" };
    return new Response(await Deno.readFile(`${folder}/dist${path}`), {
      headers,
    });
  };
  if (chromium === undefined) throw new Error("There is no Chromium");
  const front = await startFront({ url: serverUrl, answer });
  const browser = await chromium.launch();
  const page = await browser.open();
  await page.goto(`${front.url}application`);
  const texts = (selector: string) =>
    page.evaluate<string[]>(
      `Array.from(document.querySelectorAll("${selector}"), ({ textContent }) => textContent)`,
    );
  return {
    page,
    sockets: () =>
      page.evaluate(`({
        made: sockets.length,
        open: sockets.filter(({ readyState }) => readyState !== WebSocket.CLOSED).length,
      })`),
    shows: (list, ...dots) =>
      untilEqual(
        `the page shows ${list}`,
        async () => [await texts("#list"), await texts("b")],
        [[list], dots],
      ),
    render: (settings) => page.evaluate(`show(${JSON.stringify(settings)})`),
    unmount: () => page.evaluate("unmount()"),
    [Symbol.asyncDispose]: async () => {
      const complaints = await page.evaluate<string[]>("complaints");
      const faults = await page.faults();
      await browser[Symbol.asyncDispose]();
      await front[Symbol.asyncDispose]();
      equal([...complaints, ...faults].join("\n"), "");
    },
  };
}
