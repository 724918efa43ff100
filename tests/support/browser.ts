/**
 * Headless Chromium for a test file.
 *
 * @module
 */
import { type Browser, chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const FOLDERS = ["/usr/bin", ...(Deno.env.get("PATH") ?? "").split(":")];

const executablePath = FOLDERS
  .flatMap((folder) => NAMES.map((name) => `${folder}/${name}`))
  .find(isFile);

/** Why browser tests cannot run here, or `undefined` when they can. */
export const browserIsMissing: string | undefined = executablePath === undefined
  ? `skipping the browser tests: none of ${NAMES.join(", ")} is on the PATH`
  : undefined;

export async function launchBrowser(): Promise<Browser> {
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

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
