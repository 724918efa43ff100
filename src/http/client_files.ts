/**
 * The client library as browsers take it: the same files without their types.
 *
 * There is no build: types are replaced by blanks when a file is first asked for, so lines
 * and columns stay those of the source.
 *
 * @module
 */
import { stripTypeScriptTypes } from "node:module";

/** Below `src/`, without the ending. */
const FILES = [
  "client/client",
  "client/link",
  "client/pace",
  "client/reader",
  "client/replica",
  "client/users",
  "protocol/close",
  "protocol/messages",
  "protocol/user_id",
] as const;

/** One address for all of it. */
const DOOR = 'export * from "./client/client.js";\n';

const HEADERS = {
  // Any page may load a script, and one that does not come from us may read it.
  "access-control-allow-origin": "*",
  "cache-control": "no-cache",
  "content-type": "text/javascript; charset=utf-8",
  "x-content-type-options": "nosniff",
};

/** A route for each file of the client, and its answer. */
export function clientFiles(): {
  path: string;
  read: () => Promise<Response>;
}[] {
  const door = {
    path: "/client.js",
    read: () => Promise.resolve(new Response(DOOR, { headers: HEADERS })),
  };
  const files = FILES.map((name) => {
    let script: Promise<string> | undefined;
    return {
      path: `/${name}.js`,
      read: async () =>
        new Response(await (script ??= toScript(name)), { headers: HEADERS }),
    };
  });
  return [door, ...files];
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
