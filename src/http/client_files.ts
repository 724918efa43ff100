/**
 * The client library's files for browsers: the sources without their types.
 *
 * There is no build. When a file is first requested, its types are replaced by blanks, so lines
 * and columns stay those of the source. The result is kept in memory, with its ETag.
 *
 * @module
 */
import module from "node:module";
import { isKnown, shortHash } from "./etag.ts";

/** Below `src/`, without the ending. */
const FILES = [
  "client/backoff",
  "client/client",
  "client/client_socket",
  "client/connection_info",
  "client/life_signs",
  "client/link",
  "client/listeners",
  "client/options",
  "client/page_lifecycle",
  "client/platform",
  "client/presence",
  "client/reachability",
  "client/reader",
  "client/replica",
  "client/socket_url",
  "client/throttle",
  "client/timer",
  "client/timing",
  "client/tokens",
  "client/users",
  "client/protocol/close",
  "client/protocol/messages",
  "client/protocol/user_id",
] as const;

/** `/client.js`, which a page imports. It loads the other files. */
const ENTRY = 'export * from "./client/client.js";\n';

const HEADERS = {
  // A page of any origin may import the library. Module scripts are loaded with CORS.
  "access-control-allow-origin": "*",
  // A page asks each time, so that its files are of one version after an upgrade.
  "cache-control": "no-cache",
  "content-type": "text/javascript; charset=utf-8",
  "x-content-type-options": "nosniff",
};

/** The path of each file, and its response to a request: 304 if the browser has the file. */
export function clientFiles(): {
  readonly path: string;
  readonly read: (request: Request) => Promise<Response>;
}[] {
  const files = FILES.map((name) => file(`/${name}.js`, () => toScript(name)));
  return [file("/client.js", () => Promise.resolve(ENTRY)), ...files];
}

/** @param load Called until it succeeds: there may be too few descriptors at first. */
function file(path: string, load: () => Promise<string>) {
  let loaded: { readonly script: string; readonly etag: string } | undefined;
  const withEtag = (script: string) => ({
    script,
    etag: `"${shortHash(script)}"`,
  });
  const read = async (request: Request) => {
    const { script, etag } = loaded ??= withEtag(await load());
    const headers = { ...HEADERS, etag };
    return isKnown(etag, request)
      ? new Response(null, { status: 304, headers })
      : new Response(script, { headers });
  };
  return { path, read };
}

async function toScript(name: string): Promise<string> {
  const source = await Deno.readTextFile(
    new URL(`../${name}.ts`, import.meta.url),
  );
  return module.stripTypeScriptTypes(source).replaceAll(
    /(from "\.[^"]+)\.ts"/g,
    '$1.js"',
  );
}
