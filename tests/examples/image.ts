/**
 * Makes the content of a container image as its Dockerfile says, without a container engine: each
 * stage is a folder, and COPY and RUN are carried out in it.
 *
 * Deno and the C library stand in for what the base images hold.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";
import { dirname } from "node:path";
import { readDocument } from "../support/documents.ts";
import {
  type Instruction,
  instructionOf,
  instructionsOf,
  readDockerfile,
  type Stage,
} from "../support/dockerfile.ts";
import { ROOT } from "../support/server.ts";

/** What a container engine needs to know of an image. */
export interface Image {
  /** The root of the file system. */
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly user: string;
  readonly port: number;
  /** The entry point and its arguments. */
  readonly command: readonly string[];
  /** Empty if there is none. */
  readonly healthcheck: readonly string[];
}

/** The search path of the base images. */
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Where to build, with paths relative to the project. */
export interface Build {
  readonly context: string;
  readonly dockerfile: string;
}

/** Makes an image in a folder. */
export async function makeImage(
  folder: string,
  build: Build = { context: ".", dockerfile: "Dockerfile" },
): Promise<Image> {
  const stages = readDockerfile(await readDocument(build.dockerfile));
  const context = `${folder}/context`;
  await copyContext(build.context, context);
  const roots = new Map<string, string>([["", context]]);
  let root = "";
  for (const [index, stage] of stages.entries()) {
    root = `${folder}/stage${index}`;
    await Deno.mkdir(root);
    await addDeno(stage, root);
    await carryOut(stage, root, roots);
    if (stage.name !== undefined) roots.set(stage.name, root);
  }
  const last = stages.at(-1);
  ok(last !== undefined);
  if (last.from.includes("distroless")) await addLibraries(root);
  return describe(last, root);
}

function describe(stage: Stage, root: string): Image {
  const env = instructionsOf(stage, "ENV").flatMap(({ args }) => args)
    .map((word) => word.split("=") as [string, string]);
  return {
    root,
    env: { PATH, ...Object.fromEntries(env) },
    workdir: instructionOf(stage, "WORKDIR").text,
    user: instructionOf(stage, "USER").text,
    port: Number(instructionOf(stage, "EXPOSE").text),
    command: ["ENTRYPOINT", "CMD"].flatMap((name) =>
      instructionsOf(stage, name).flatMap(({ args }) => args)
    ),
    healthcheck: instructionsOf(stage, "HEALTHCHECK")
      .flatMap(({ args }) => args),
  };
}

/** The files of a folder of the project that its `.dockerignore` lets through; without one, all. */
async function copyContext(context: string, to: string): Promise<void> {
  const text = await readDocument(`${context}/.dockerignore`)
    .catch(() => undefined);
  const [all, ...lines] = (text ?? "*\n!.").trim().split("\n")
    .filter((line) => !line.startsWith("#"));
  equal(all, "*");
  await Deno.mkdir(to);
  for (const line of lines) {
    ok(line.startsWith("!"), line);
    await run(["cp", "-r", `${ROOT}${context}/${line.slice(1)}`, to]);
  }
  // As after a clone by somebody who shares no files.
  await run(["chmod", "-R", "go-rwx", to]);
}

/** The image of Deno has it, in the version that its tag names. */
async function addDeno({ from }: Stage, root: string): Promise<void> {
  const [, version] = /^denoland\/deno:(.*)$/.exec(from) ?? [];
  if (version === undefined) return;
  equal(version, Deno.version.deno, "the Dockerfile has another Deno");
  await Deno.mkdir(`${root}/usr/bin`, { recursive: true });
  await run(["cp", Deno.execPath(), `${root}/usr/bin/deno`]);
}

async function carryOut(
  stage: Stage,
  root: string,
  roots: ReadonlyMap<string, string>,
): Promise<void> {
  let workdir = root;
  for (const instruction of stage.instructions) {
    if (instruction.name === "WORKDIR") {
      workdir = `${root}${instruction.text}`;
      await Deno.mkdir(workdir, { recursive: true });
    } else if (instruction.name === "COPY") {
      await copy(instruction, root, workdir, roots);
    } else if (instruction.name === "RUN") {
      // The packages come from Deno's cache where it has them.
      await run(["sh", "-c", instruction.text], workdir, `${root}/usr/bin`);
    }
  }
}

async function copy(
  { args }: Instruction,
  root: string,
  workdir: string,
  roots: ReadonlyMap<string, string>,
): Promise<void> {
  const [first = ""] = args;
  const from = /^--from=(.*)$/.exec(first)?.[1];
  const source = roots.get(from ?? "");
  ok(source !== undefined, `COPY from an unknown stage: ${from}`);
  const paths = args.slice(from === undefined ? 0 : 1);
  const target = paths.at(-1) ?? "";
  const absolute = `${target.startsWith("/") ? root : `${workdir}/`}${target}`;
  await Deno.mkdir(dirname(absolute), { recursive: true });
  const sources = paths.slice(0, -1).map((path) => `${source}/${path}`);
  // Of a folder the content is copied, and not the folder itself.
  const options = target.endsWith("/") ? ["-r"] : ["-rT"];
  await run(["cp", ...options, ...sources, absolute]);
}

/** What the base image of the last stage has of Debian: the C library, and nothing that can be run. */
async function addLibraries(root: string): Promise<void> {
  const listed = await run(["ldd", Deno.execPath()]);
  for (const [path] of listed.matchAll(/\/\S+/g)) {
    await Deno.mkdir(`${root}${dirname(path)}`, { recursive: true });
    await Deno.copyFile(path, `${root}${path}`);
  }
  for (const name of ["proc", "tmp"]) await Deno.mkdir(`${root}/${name}`);
}

async function run(
  [program = "", ...args]: readonly string[],
  cwd = "/",
  path = "",
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    cwd,
    env: { PATH: `${path}:${Deno.env.get("PATH")}` },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  ok(success, `${program} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** The bytes of the files of a folder. */
export async function bytesIn(folder: string): Promise<number> {
  return Number((await run(["du", "-sb", folder])).split("\t")[0]);
}
