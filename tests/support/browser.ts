/**
 * Headless Chromium for a test file.
 *
 * @module
 */
import { type Browser, chromium } from "playwright-core";

const PLACES = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

/** Where Chromium is on this machine, if it is. */
function findChromium(): string | undefined {
  return PLACES.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** Why browser tests cannot run here, or `undefined` when they can. */
export const browserIsMissing: string | undefined = findChromium() === undefined
  ? `skipping the browser tests: no Chromium at ${PLACES.join(", ")}`
  : undefined;

export async function launchBrowser(): Promise<Browser> {
  const executablePath = findChromium();
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
