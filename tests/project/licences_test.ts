/** Every dependency may be used by everyone, for every purpose. */
import { deepEqual, ok } from "node:assert/strict";
import { ROOT } from "../support/server.ts";

const ALLOWED = [
  ...["MIT", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD"],
  ...["BlueOak-1.0.0", "PostgreSQL"],
];

Deno.test("every dependency has a licence that asks for no more than its mention", async () => {
  const lock = JSON.parse(await Deno.readTextFile(`${ROOT}deno.lock`));
  const folders = `${ROOT}node_modules/.deno`;
  const odd: string[] = [];
  let seen = 0;
  for (const key of Object.keys(lock.npm)) {
    // A version may be followed by those of its peers.
    const [, name = "", version = ""] = /^(@?[^@]+)@([^_]+)/.exec(key) ?? [];
    const folder = `${folders}/${name.replace("/", "+")}@${version}`;
    const file = `${folder}/node_modules/${name}/package.json`;
    const text = await Deno.readTextFile(file).catch(() => undefined);
    // Binaries for other systems are not installed.
    if (text === undefined) continue;
    seen += 1;
    const { license } = JSON.parse(text);
    if (!ALLOWED.includes(license)) odd.push(`${key}: ${license}`);
  }
  ok(seen > 30, `only ${seen} packages were found`);
  deepEqual(odd, []);
});
