/** The examples of the client library run as written. */
import { deepEqual, match, ok } from "node:assert/strict";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { ROOT, sharedServer, startServerOn } from "../support/server.ts";
import { withUserChanging } from "../support/transitions.ts";

const postgres = postgresForThisFile();
const server = sharedServer(() => startServerOn(postgres.database(3)));

/** Runs a program to its end, and kills it after 30 s. */
function run(command: string, args: readonly string[]) {
  const child = new Deno.Command(command, {
    ...{ args: [...args], stdout: "piped", stderr: "piped" },
    env: { NO_COLOR: "1" },
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
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

/** Writes an example into a file, with the URL of this server and a token. */
async function program(
  code: string,
  client: string,
  file = Deno.makeTempFileSync({ suffix: ".mjs" }),
): Promise<string> {
  const token = JSON.stringify(await tokenFor(1));
  const filled = code
    .replaceAll(
      /"(@rollcall\/client|https:[^"]*client\.js)"/g,
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

Deno.test("the examples in the comments of the client run", async () => {
  const [loop, watch] = await examplesIn("src/client/client.ts");
  ok(loop !== undefined && watch !== undefined);
  const client = `${ROOT}src/client/client.ts`;
  const loopFile = await program(loop.replaceAll('"bob"', '"user2"'), client);
  const first = await withUserChanging(
    server.databaseUrl,
    2,
    run(Deno.execPath(), ["run", "-A", loopFile]),
  );
  match(first.stdout, /are online\n(user\d is (on|off)line now\n)*user2 is/);
  const watchFile = await program(watch, client);
  const second = await run(Deno.execPath(), ["run", "-A", watchFile]);
  match(
    second.stdout,
    /^connecting undefined\nconnected undefined\nbob is (on|off)line\n/,
  );
  deepEqual([first.code, second.code], [0, 0]);
});

for (
  const [document, expected] of [
    ["README.md", /^\d+\n/],
    ["docs/client.md", /^connecting undefined\nconnected undefined\n\d+\n/],
  ] as const
) {
  Deno.test(`the example in ${document} runs with the client that a server serves`, async () => {
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
