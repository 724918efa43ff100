/**
 * The oldest Deno that can run the server.
 *
 * @module
 */
import { StartError } from "./base/start_error.ts";

/** The first with `stripTypeScriptTypes` in `node:module`, which makes the client's files. */
const OLDEST = [2, 8, 2];

/** @throws {StartError} when this Deno is older. */
export function requireDeno(version = Deno.version.deno): void {
  const parts = version.split(/[.+-]/).map(Number);
  const index = OLDEST.findIndex((oldest, nth) => oldest !== parts[nth]);
  if (index === -1 || Number(parts[index]) > Number(OLDEST[index])) return;
  throw new StartError(
    `Cannot run with Deno ${version}: expected ${
      OLDEST.join(".")
    } or newer, as in "npx -y deno@2.9.6"; see docs/deployment.md`,
  );
}
