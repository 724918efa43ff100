/**
 * Runs an image as a container engine does, with the means of Linux: a root that cannot be written,
 * a network of its own without a way out, its own process ids, and the image's user.
 *
 * A program of its own, because the network is: run it as root in `unshare --net`. It starts a
 * database, the image on it, the check of its health, and two clients, and ends with an error if
 * one of them fails. Its argument is the image.
 *
 * @module
 */
import { equal, match, notEqual } from "node:assert/strict";
import { query, scratchPostgres } from "../support/database.ts";
import { readiness, statusCode } from "../support/endpoints.ts";
import { processTree } from "../support/process.ts";
import { TEST_SECRET } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { until } from "../support/until.ts";
import type { Image } from "./image.ts";

const READY_MS = 60_000;

/** Mounts the root read-only, and runs the rest of the arguments in it. */
const ENTER = `root=$1 workdir=$2 user=$3 && shift 3
  mount --bind "$root" "$root" && mount -t proc proc "$root/proc" && mount -o remount,bind,ro "$root" &&
  exec unshare --root="$root" --wd="$workdir" --setuid "\${user%:*}" --setgid "\${user#*:}" "$@"`;

function start(
  image: Image,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): Deno.ChildProcess {
  const { root, workdir, user } = image;
  return new Deno.Command("unshare", {
    args: [
      ...["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER],
      ...["sh", root, workdir, user, ...command],
    ],
    clearEnv: true,
    env: { ...image.env, ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function ended(container: Deno.ChildProcess) {
  const { code, stdout, stderr } = await container.output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** The process that is number 1 in the container. */
async function firstProcess(container: Deno.ChildProcess): Promise<number> {
  const [, first] = await processTree(container.pid);
  if (first === undefined) throw new Error("The container has no process");
  return first;
}

async function serves(image: Image): Promise<void> {
  await using postgres = await scratchPostgres();
  const env = {
    ...{ DATABASE_URL: postgres.url, JWT_SECRET: TEST_SECRET },
    ...{ AUTO_PROVISION: "true", ROSTER_ACCESS: "public" },
  };
  const startedAt = performance.now();
  const server = { url: `http://127.0.0.1:${image.port}/` };
  const container = start(image, image.command, env);
  const end = ended(container);
  let isOver = false;
  void end.then(() => isOver = true);
  await until("the container is ready", async () => {
    if (isOver) throw new Error((await end).output);
    const answer = await readiness(server).catch(() => undefined);
    return answer?.status === 200;
  }, READY_MS);
  const readyMs = Math.round(performance.now() - startedAt);
  equal((await ended(start(image, image.healthcheck, env))).code, 0);
  {
    await using ada = await connectSync(server.url, 1);
    await ada.holds([1]);
    {
      await using bob = await connectSync(server.url, 2);
      await bob.holds([1, 2]);
      await ada.holds([1, 2]);
    }
    await ada.holds([1]);
  }
  equal(await statusCode(`${server.url}client.js`), 200);
  Deno.kill(await firstProcess(container), "SIGTERM");
  const { code, output } = await end;
  equal(code, 0, output);
  match(output, /"msg":"stopped"/);
  notEqual((await ended(start(image, image.healthcheck, env))).code, 0);
  const [{ count }] = await query(
    postgres.url,
    "select count(*)::int from rollcall.online_users",
  );
  equal(count, 0);
  Deno.stdout.writeSync(new TextEncoder().encode(`ready in ${readyMs} ms\n`));
}

async function refusesWithoutDatabase(image: Image): Promise<void> {
  for (const env of [{}, { JWT_SECRET: TEST_SECRET }]) {
    const { code, output } = await ended(start(image, image.command, env));
    equal(code, 2, output);
    match(output, /^Cannot keep [^\n]*; set DATABASE_URL[^\n]*\n$/m);
  }
}

const image: Image = JSON.parse(Deno.args[0] ?? "");
await serves(image);
await refusesWithoutDatabase(image);
