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
  const path = await Deno.makeTempDir({ prefix: "rollcall-test-" });
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}
