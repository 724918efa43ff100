/**
 * The secret with which demo mode signs tokens, in a file beside the embedded database.
 *
 * @module
 */
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { DATA_DIRECTORY } from "../embedded/data_directory.ts";

const SECRET_FILE = `${DATA_DIRECTORY}/secret`;

/**
 * Reads the secret. The first call makes it: 32 random bytes in Base64, in a file that only its
 * owner can read, so that tokens stay valid after a restart.
 *
 * @throws {StartError} when the file can be neither made nor read.
 */
export function readDemoSecret(): string {
  try {
    Deno.mkdirSync(DATA_DIRECTORY, { recursive: true });
    createOnce(
      SECRET_FILE,
      () => crypto.getRandomValues(new Uint8Array(32)).toBase64(),
    );
    return Deno.readTextFileSync(SECRET_FILE);
  } catch (cause) {
    throw new StartError(
      `Cannot keep the demo's secret in ${SECRET_FILE}: ${
        messageOf(cause)
      }; set DATABASE_URL and JWT_SECRET, or for demo mode start the server as the owner of ${DATA_DIRECTORY}, or in another folder`,
      { cause },
    );
  }
}

function createOnce(path: string, content: () => string): void {
  try {
    Deno.writeTextFileSync(path, content(), { createNew: true, mode: 0o600 });
  } catch (err) {
    if (!(err instanceof Deno.errors.AlreadyExists)) throw err;
  }
}
