/** The examples of the client library run as written, and the library runs on Node. */
import { deepEqual, match, ok } from "node:assert/strict";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { sources } from "../support/documents.ts";
import { ROOT, sharedServer, startServerOn } from "../support/server.ts";
import { joinAsNode } from "../support/transitions.ts";
import { until } from "../support/until.ts";

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

/** User 2 comes online and goes offline again and again, until the program ends. */
async function withUser2Changing<T>(running: Promise<T>): Promise<T> {
  await using node = await joinAsNode(server.databaseUrl);
  let isOver = false;
  void running.finally(() => isOver = true);
  for (let round = 0; !isOver; round++) {
    await node.apply(round % 2 === 0 ? [2] : [], round % 2 === 0 ? [] : [2]);
    const changedAt = performance.now();
    await until(
      "the next change is due",
      () => isOver || performance.now() - changedAt > 60,
    );
  }
  return await running;
}

Deno.test("the examples in the comments of the client run", async () => {
  const [loop, watch] = await examplesIn("src/client/client.ts");
  ok(loop !== undefined && watch !== undefined);
  const client = `${ROOT}src/client/client.ts`;
  const loopFile = await program(loop.replaceAll('"bob"', '"user2"'), client);
  const first = await withUser2Changing(
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

interface Node {
  readonly command: string;
  readonly version: number;
}

/** The Node of the PATH, and that of NODE22 if there is one. */
const nodes = await findNodes();
const node = nodes.at(0);
/** It has WebSocket, type stripping and `require` of modules, from 22.12 on. */
const node22 = nodes.find(({ version }) => version >= 22)?.command;
warnIf(node === undefined, "no node on the PATH");
warnIf(node22 === undefined, "no Node 22 on the PATH or in NODE22");

async function findNodes(): Promise<Node[]> {
  const found: Node[] = [];
  for (const command of ["node", Deno.env.get("NODE22") ?? ""]) {
    if (command === "") continue;
    try {
      const { stdout } = await new Deno.Command(command, {
        args: ["--version"],
      }).output();
      const version = /^v(\d+)\./.exec(new TextDecoder().decode(stdout))?.[1];
      found.push({ command, version: Number(version) });
    } catch {
      // There is no such command.
    }
  }
  return found;
}

function warnIf(isMissing: boolean, what: string): void {
  if (!isMissing) return;
  const text = `skipping a test of the client on Node: ${what}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

/** A project as `npm init -y` makes it, with the client copied as docs/client.md says. */
async function makeNodeProject(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "rollcall-node-" });
  const write = async (file: string, content: unknown) =>
    await Deno.writeTextFile(`${folder}/${file}`, JSON.stringify(content));
  await write("package.json", { name: "application", type: "commonjs" });
  await Deno.mkdir(`${folder}/rollcall/protocol`, { recursive: true });
  for (const [path, text] of await sources("src/client")) {
    const copy = path.replace("src/client", `${folder}/rollcall`);
    await Deno.writeTextFile(copy, text);
  }
  await write("rollcall/package.json", { type: "module" });
  return folder;
}

Deno.test({
  name: "a copy of the client runs on Node 22 in a project that npm init made",
  ignore: node22 === undefined,
  fn: async () => {
    const folder = await makeNodeProject();
    const client = "./rollcall/client.ts";
    const [loop = ""] = await examplesIn("src/client/client.ts");
    const esModule = loop.replaceAll('"bob"', '"user2"');
    // In a CommonJS module, `import` is `require`, and a loop needs a function around it.
    const commonJs = esModule
      .replace(/import (\{.*\}) from (".*");/, "const $1 = require($2);")
      .replace(/^for await [^]*$/m, "(async () => {\n$&})();");
    for (const [name, code] of [["a.mjs", esModule], ["b.js", commonJs]]) {
      const file = await program(code ?? "", client, `${folder}/${name}`);
      const args = ["--experimental-strip-types", "--no-warnings", file];
      const running = run(node22 ?? "", args);
      const output = await withUser2Changing(running);
      const { code: exitCode, stdout, stderr } = output;
      match(
        stdout,
        /are online\n(user\d is (on|off)line now\n)*user2 is/,
        `${name}: ${stderr}`,
      );
      deepEqual(exitCode, 0);
    }
    await Deno.remove(folder, { recursive: true });
  },
});

/** Copies the JavaScript that the server serves, with all that it imports. */
async function copyServedClient(folder: string): Promise<void> {
  const copied = new Set<string>();
  const copy = async (path: string) => {
    if (copied.has(path)) return;
    copied.add(path);
    const url = new URL(path, server.url);
    const script = await (await fetch(url)).text();
    const file = `${folder}${url.pathname}`;
    await Deno.mkdir(file.replace(/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(file, script);
    for (const [, imported = ""] of script.matchAll(/from "(\.[^"]+)"/g)) {
      await copy(new URL(imported, url).pathname);
    }
  };
  await Deno.writeTextFile(`${folder}/package.json`, '{"type":"module"}');
  await copy("/client.js");
}

Deno.test({
  name:
    "without a WebSocket, as on Node 20, an import has no effect and connect says what is missing; with one it connects",
  ignore: node === undefined,
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "rollcall-node20-" });
    await copyServedClient(folder);
    const url = `${server.url.replace("http", "ws")}ws`;
    const token = await tokenFor(1);
    const client = `import { connect } from "./client.js";
      const connected = () => new Promise((resolve, reject) => {
        const rollcall = connect("${url}", { token: "${token}" });
        rollcall.on("connection", ({ state, reason }) => {
          if (state === "connecting") return;
          if (state === "connected") resolve(state);
          else reject(new Error(reason));
          rollcall.close();
        });
      });`;
    await Deno.writeTextFile(
      `${folder}/main.js`,
      `${client}
      const why = await connected().catch(({ name, message }) => name + ": " + message);
      console.log(why);
      const { WebSocket } = await import("${ROOT}node_modules/ws/wrapper.mjs");
      globalThis.WebSocket = WebSocket;
      console.log(await connected());`,
    );
    const { command = "", version = 0 } = node ?? {};
    const without = version >= 22 ? ["--no-experimental-websocket"] : [];
    const { code, stdout, stderr } = await run(command, [
      ...without,
      `${folder}/main.js`,
    ]);
    deepEqual({ code, stdout, stderr }, {
      code: 0,
      stdout:
        "TypeError: Cannot connect: expected a WebSocket, as in browsers, Deno, and Node 22 or newer; set the option WebSocket, for example to that of the package ws\nconnected\n",
      stderr: "",
    });
    await Deno.remove(folder, { recursive: true });
  },
});
