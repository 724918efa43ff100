/**
 * A folder for one test.
 *
 * @module
 */

export interface ScratchFolder extends AsyncDisposable {
  readonly path: string;
}

/** For a server that is started more than once, or whose files a test reads. */
export async function scratchFolder(): Promise<ScratchFolder> {
  const path = await openFolder("rollcall-test-");
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** A new folder that every user may enter: as root, Postgres runs as another user than the test. */
export async function openFolder(prefix: string): Promise<string> {
  const path = await Deno.makeTempDir({ prefix });
  if (Deno.build.os !== "windows") await Deno.chmod(path, 0o755);
  return path;
}
