/** The client library's examples run, and it runs on Node as it is. */
import { deepEqual, match, ok } from "node:assert/strict";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { ROOT, sharedServer, startServerOn } from "../support/server.ts";
import { playNode } from "../support/transitions.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const server = sharedServer(() => startServerOn(postgres.database(3)));

/** A program that ends by itself, or is ended. */
function run(command: string, args: readonly string[]) {
  const child = new Deno.Command(command, {
    ...{ args: [...args], stdout: "piped", stderr: "piped" },
    env: { NO_COLOR: "1" },
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const output = child.output().then(({ code, stdout, stderr }) => {
    clearTimeout(timer);
    const decoder = new TextDecoder();
    return {
      code,
      stdout: decoder.decode(stdout),
      stderr: decoder.decode(stderr),
    };
  });
  return output;
}

/** The program of an example, with this server and a token in it, in a file of its own. */
async function program(code: string, client: string): Promise<string> {
  const file = await Deno.makeTempFile({ suffix: ".mjs" });
  const token = JSON.stringify(await tokenFor(1));
  const filled = code
    .replaceAll(
      /"(@rollcall\/server\/client|https:[^"]*client\.js)"/g,
      `"${client}"`,
    )
    .replaceAll("wss://presence.example/", server.url.replace("http", "ws"))
    .replaceAll("draw(users)", "console.log(users.size)");
  await Deno.writeTextFile(file, `const getToken = () => ${token};\n${filled}`);
  return file;
}

async function examplesIn(file: string): Promise<string[]> {
  const source = await Deno.readTextFile(`${ROOT}${file}`);
  const plain = source.replaceAll(/^ \* ?/gm, "");
  return [...plain.matchAll(/```[jt]s\n([\s\S]*?)```/g)].map(([, code]) =>
    code ?? ""
  ).filter((code) => code.includes("connect("));
}

/** Lets bob (2) come and go until the program ended. */
async function whileBobMoves<T>(running: Promise<T>): Promise<T> {
  await using node = await playNode(server.databaseUrl);
  let isOver = false;
  void running.finally(() => isOver = true);
  for (let round = 0; !isOver; round++) {
    await node.apply(round % 2 === 0 ? [2] : [], round % 2 === 0 ? [] : [2]);
    const resting = performance.now();
    await until(
      "it moves on",
      () => isOver || performance.now() - resting > 60,
    );
  }
  return await running;
}

Deno.test("the examples in the client's comments do what they say", async () => {
  const [loop, watch] = await examplesIn("src/client/client.ts");
  ok(loop !== undefined && watch !== undefined);
  const client = `${ROOT}src/client/client.ts`;
  const loopFile = await program(loop.replaceAll('"bob"', '"user2"'), client);
  const first = await whileBobMoves(
    run(Deno.execPath(), ["run", "-A", loopFile]),
  );
  match(first.stdout, /are online\n(user\d is (on|off)line now\n)*user2 is/);
  const watchFile = await program(watch, client);
  const second = await run(Deno.execPath(), ["run", "-A", watchFile]);
  match(
    second.stdout,
    /^connecting undefined\nconnected undefined\nbob is (not )?here\n/,
  );
  deepEqual([first.code, second.code], [0, 0]);
});

for (
  const [document, expected] of [
    ["README.md", /^\d+\n/],
    ["docs/client.md", /^connecting undefined\nconnected undefined\n\d+\n/],
  ] as const
) {
  Deno.test(`the example in ${document} runs with the client that a server hands out`, async () => {
    const [example] = await examplesIn(document);
    ok(example !== undefined);
    const ending = 'rollcall.on("state", () => rollcall.close());';
    const file = await program(
      `${example}\n${ending}`,
      `${server.url}client.js`,
    );
    const { code, stdout, stderr } = await run(Deno.execPath(), [
      ...["run", "-A", "--no-lock", "--reload", file],
    ]);
    match(stdout, expected, stderr);
    deepEqual(code, 0);
  });
}

const node22 = await findNode22();

/** Node 22 or newer, whose WebSocket and type stripping are built in. */
async function findNode22(): Promise<string | undefined> {
  for (const command of [Deno.env.get("NODE22") ?? "", "node"]) {
    if (command === "") continue;
    try {
      const { stdout } = await new Deno.Command(command, {
        args: ["--version"],
      }).output();
      const version = /^v(\d+)\./.exec(new TextDecoder().decode(stdout))?.[1];
      if (Number(version) >= 22) return command;
    } catch {
      // It is not there.
    }
  }
  const text =
    "skipping the client on Node: no Node 22 on the PATH or in NODE22\n";
  Deno.stderr.writeSync(new TextEncoder().encode(text));
  return undefined;
}

Deno.test({
  name: "the client runs on Node 22, unchanged",
  ignore: node22 === undefined,
  fn: async () => {
    const [loop] = await examplesIn("src/client/client.ts");
    const code = (loop ?? "").replaceAll('"bob"', '"user2"');
    const file = await program(code, `${ROOT}src/client/client.ts`);
    const { code: exitCode, stdout, stderr } = await whileBobMoves(
      run(node22 ?? "", ["--experimental-strip-types", "--no-warnings", file]),
    );
    match(
      stdout,
      /are online\n(user\d is (on|off)line now\n)*user2 is/,
      stderr,
    );
    deepEqual(exitCode, 0);
  },
});
