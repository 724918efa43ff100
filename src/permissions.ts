/**
 * The permissions that a server gives up at its start because it does not need them, so that a
 * fault in it, or in a package, can do less.
 *
 * @module
 */
import { DATA_DIRECTORY } from "./embedded/data_directory.ts";

/**
 * Gives up what only the embedded database needs: to run programs, and to write files.
 *
 * Deno demands the permission to write the file of a Unix socket for each connection to it. Then
 * only the data directory is given up: a permission to write everything cannot be narrowed.
 *
 * @param sockets The files of the sockets that the database is on.
 */
export async function dropPermissions(
  sockets: readonly string[],
): Promise<void> {
  await Deno.permissions.revoke({ name: "run" });
  await Deno.permissions.revoke(
    sockets.length === 0
      ? { name: "write" }
      : { name: "write", path: DATA_DIRECTORY },
  );
}
