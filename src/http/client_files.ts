/**
 * The client library's files for browsers: the sources without their types.
 *
 * There is no build. When a file is first requested, its types are replaced by blanks, so lines
 * and columns stay those of the source. The result is kept in memory.
 *
 * @module
 */
import { stripTypeScriptTypes } from "node:module";

/** Below `src/`, without the ending. */
const FILES = [
  "client/client",
  "client/connection_info",
  "client/link",
  "client/platform",
  "client/reader",
  "client/replica",
  "client/socket_url",
  "client/throttle",
  "client/users",
  "protocol/close",
  "protocol/messages",
  "protocol/user_id",
] as const;

/** `/client.js`, which a page imports. It loads the other files. */
const ENTRY = 'export * from "./client/client.js";\n';

const HEADERS = {
  // A page of any origin may import the library. Module scripts are loaded with CORS.
  "access-control-allow-origin": "*",
  "cache-control": "no-cache",
  "content-type": "text/javascript; charset=utf-8",
  "x-content-type-options": "nosniff",
};

/** The path of each file, and its response. */
export function clientFiles(): {
  path: string;
  read: () => Promise<Response>;
}[] {
  const entry = {
    path: "/client.js",
    read: () => Promise.resolve(new Response(ENTRY, { headers: HEADERS })),
  };
  const files = FILES.map((name) => {
    let script: Promise<string> | undefined;
    return {
      path: `/${name}.js`,
      read: async () =>
        new Response(await (script ??= toScript(name)), { headers: HEADERS }),
    };
  });
  return [entry, ...files];
}

async function toScript(name: string): Promise<string> {
  const source = await Deno.readTextFile(
    new URL(`../${name}.ts`, import.meta.url),
  );
  return stripTypeScriptTypes(source).replaceAll(
    /(from "\.[^"]+)\.ts"/g,
    '$1.js"',
  );
}
