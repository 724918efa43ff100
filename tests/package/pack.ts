/**
 * Packs the client library for npm: `deno task pack [--output FOLDER]`.
 *
 * `deno pack` makes JavaScript, declarations and a `package.json` from `src/client/`. This adds the
 * licence, and the fields of `package.json` that `deno pack` has no setting for. It works on a copy
 * without `node_modules`, so it needs no other package of the project.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { ROOT } from "../support/server.ts";

const FIELDS = {
  description:
    "Who is online, live: the client of the presence server Rollcall",
  keywords: ["presence", "online", "websocket", "react", "vue", "svelte"],
  engines: { node: ">=20.10" },
  sideEffects: false,
};

/** An application has the framework that it imports an entry for, and no other. */
const FRAMEWORKS: Readonly<Record<string, string>> = {
  react: ">=18",
  vue: ">=3.2",
};

/** Writes the tarball into a folder, and returns its path. */
export async function packClient(folder: string): Promise<string> {
  const scratch = await Deno.makeTempDir({ prefix: "rollcall-pack-" });
  try {
    await run(scratch, "cp", "-R", `${ROOT}src/client`, "source");
    const config = JSON.parse(
      await Deno.readTextFile(`${scratch}/source/deno.json`),
    );
    await writeJson(`${scratch}/source/deno.json`, {
      ...config,
      nodeModulesDir: "none",
    });
    await run(
      `${scratch}/source`,
      ...[Deno.execPath(), "pack", "--quiet", "--allow-dirty"],
      ...["--no-source-maps", "--output", "../packed.tgz"],
    );
    await run(scratch, "tar", "-xzf", "packed.tgz");
    await Deno.copyFile(`${ROOT}LICENSE`, `${scratch}/package/LICENSE`);
    const manifest = `${scratch}/package/package.json`;
    await writeJson(
      manifest,
      complete(JSON.parse(await Deno.readTextFile(manifest))),
    );
    const name = `rollcall-client-${config.version}.tgz`;
    await run(scratch, "tar", "-czf", name, "package");
    await Deno.copyFile(`${scratch}/${name}`, `${folder}/${name}`);
    return `${folder}/${name}`;
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

/** Adds the fields. What `deno pack` takes for a dependency is one of the frameworks. */
function complete(
  { dependencies, ...rest }: { dependencies: Record<string, string> },
): unknown {
  const [found, expected] = [dependencies, FRAMEWORKS]
    .map((packages) => Object.keys(packages).sort().join(", "));
  if (found !== expected) {
    throw new Error(
      `Cannot pack the client: it imports ${found}: expected ${expected}`,
    );
  }
  const optional = Object.keys(FRAMEWORKS)
    .map((name) => [name, { optional: true }]);
  return {
    ...{ ...rest, ...FIELDS, peerDependencies: FRAMEWORKS },
    peerDependenciesMeta: Object.fromEntries(optional),
  };
}

async function writeJson(file: string, content: unknown): Promise<void> {
  await Deno.writeTextFile(file, `${JSON.stringify(content, null, 2)}\n`);
}

async function run(
  cwd: string,
  program: string,
  ...args: readonly string[]
): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, {
    ...{ args: [...args], cwd },
  }).output();
  if (success) return;
  const output = new TextDecoder().decode(stderr);
  throw new Error(`Cannot pack the client: ${program} failed: ${output}`);
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: { output: { type: "string", default: "." } },
  });
  const tarball = await packClient(values.output);
  await Deno.stdout.write(new TextEncoder().encode(`${tarball}\n`));
}
