/**
 * The folder `.data/` below the working directory: the embedded database and the demo's secret.
 *
 * @module
 */
import { StartError } from "./start_error.ts";

export const DATA_DIRECTORY = ".data";

const SECRET_FILE = `${DATA_DIRECTORY}/secret`;

/** The secret that demo mode signs with: random, made once, readable by its owner alone. */
export function readDemoSecret(): string {
  try {
    Deno.mkdirSync(DATA_DIRECTORY, { recursive: true });
    const secret = crypto.getRandomValues(new Uint8Array(32)).toBase64();
    Deno.writeTextFileSync(SECRET_FILE, secret, {
      createNew: true,
      mode: 0o600,
    });
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) {
      throw new StartError(
        `Cannot keep the demo's secret in ${SECRET_FILE}: ${
          (cause as Error).message
        }`,
        { cause },
      );
    }
  }
  return Deno.readTextFileSync(SECRET_FILE);
}
