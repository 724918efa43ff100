/**
 * The servers that are compared. Each runs as a process of its own, which is killed by its id.
 *
 * @module
 */
import { openDescriptors, residentBytes } from "../support/process.ts";
import { ROOT, TEST_SECRET } from "../support/server.ts";
import { until } from "../support/until.ts";
import type { Target } from "./load.ts";
import type { Dialect } from "./raw_client.ts";

const PEERS = `${ROOT}tests/bench/peers/`;
const GO_PACKAGES = "/usr/share/gocode/src/github.com/";
/** Ample on a busy machine. */
const START_MS = 120_000;
const CLOCK_TICKS_PER_SECOND = 100;

const DENO = [
  ...[Deno.execPath(), "run", "--allow-all", "--no-prompt"],
  ...["--config", `${ROOT}deno.json`],
];

/** Limits that no workload reaches. */
const ROOM = {
  MAX_CONNECTIONS: "20000",
  MAX_CONNECTIONS_PER_ADDRESS: "20000",
  MAX_CONNECTIONS_PER_USER: "10000",
  MAX_LIST_BYTES_PER_SECOND: "1000000000",
  MAX_NEW_CONNECTIONS_PER_SECOND: "1000000",
  MAX_FAILED_TOKENS_PER_MINUTE: "1000000",
  ROSTER_ACCESS: "public",
};

/** - `postgres`: as in production. - `memory`: as the other servers, which have no database. */
export type Storage = "postgres" | "memory";

export type Engine = "native" | "ws";

export interface Contender {
  readonly name: string;
  readonly dialect: Dialect;
  readonly storage: Storage;
  readonly engine: Engine;
  readonly command: readonly string[];
  /** Why it cannot run here. */
  readonly missing: string | undefined;
}

export interface Running extends Target, AsyncDisposable {
  readonly pid: number;
  /** Seconds of CPU so far: all threads, in user mode and in the kernel. */
  cpuSeconds(): number;
  residentBytes(): number;
  descriptors(): number;
}

/** Seconds of CPU that a process has used, from `/proc`: only on Linux. */
export function cpuSeconds(pid: number | "self"): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  return (user + system) / CLOCK_TICKS_PER_SECOND;
}

export function rollcall(
  version: 1 | 2,
  storage: Storage,
  engine: Engine = "native",
): Contender {
  const where = storage === "memory" ? " in memory" : "";
  return {
    name: `rollcall.v${version}${where}${onEngine(engine)}`,
    dialect: `v${version}`,
    ...{ storage, engine },
    command: [
      ...["env", `SOCKET_ENGINE=${engine}`, ...DENO],
      // As `deno task start` does.
      "--v8-flags=--max-semi-space-size=8",
      storage === "memory"
        ? `${ROOT}tests/bench/rollcall_memory.ts`
        : `${ROOT}main.ts`,
    ],
    missing: undefined,
  };
}

export async function contenders(): Promise<Contender[]> {
  const packages = await installPackages();
  const go = await buildGo();
  const bun = `${PEERS}node_modules/.bin/bun`;
  const peer = (
    name: string,
    command: readonly string[],
    missing?: string,
    dialect: Dialect = "v1",
  ): Contender => ({
    ...{ name, dialect, storage: "memory", engine: "native" },
    ...{ command, missing },
  });
  return [
    ...[rollcall(1, "postgres"), rollcall(1, "memory")],
    ...[rollcall(2, "postgres"), rollcall(2, "memory")],
    ...[rollcall(1, "postgres", "ws"), rollcall(2, "postgres", "ws")],
    plainLoop,
    peer("Node + ws", ["node", `${PEERS}node_ws.js`], packages),
    peer("Bun, publish", [bun, `${PEERS}bun.js`], packages),
    peer(GO, [go.binary], go.missing),
    peer("Socket.IO", ["node", `${PEERS}socket_io.js`], packages, "socket.io"),
  ];
}

/** The name of the plan in Go. */
export const GO = "Go, gin + gorilla";

/** A Map, a loop and `send`. The figures of all others are ratios to those of this server. */
export const plainLoop: Contender = {
  ...{ name: "Deno, plain loop", dialect: "v1", storage: "memory" },
  engine: "native",
  command: [...DENO, `${PEERS}deno_loop.js`],
  missing: undefined,
};

/**
 * They answer with a constant text instead of a list, on each engine: behind the router that
 * Rollcall has, and without one.
 */
export const constants = [
  ...[constantText("native", "Hono"), constantText("ws", "Hono")],
  ...[constantText("native", "none"), constantText("ws", "none")],
] as const;

function constantText(engine: Engine, router: "Hono" | "none"): Contender {
  const what = router === "none" ? ", no router" : "";
  const env = ["env", `SOCKET_ENGINE=${engine}`, `ROUTER=${router}`];
  return {
    name: `constant text${what}${onEngine(engine)}`,
    ...{ dialect: "v1", storage: "memory", engine },
    command: [...env, ...DENO, `${PEERS}constant.js`],
    missing: undefined,
  };
}

function onEngine(engine: Engine): string {
  return engine === "ws" ? " on ws" : "";
}

/** Writes the bytes that Rollcall wrote, and does nothing else. */
export function floor(engine: Engine): Contender {
  return {
    name: `floor${onEngine(engine)}`,
    ...{ dialect: "v2", storage: "memory", engine },
    command: ["env", `SOCKET_ENGINE=${engine}`, ...DENO, `${PEERS}floor.js`],
    missing: undefined,
  };
}

/** Installs the packages of the lock file beside the peers. Returns why that failed. */
async function installPackages(): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command("npm", {
      args: ["ci", "--no-audit", "--no-fund", "--prefer-offline"],
      ...{ cwd: PEERS, stdout: "null", stderr: "piped" },
    }).output();
    return success ? undefined : new TextDecoder().decode(stderr);
  } catch {
    return "there is no npm";
  }
}

async function buildGo(): Promise<
  { binary: string; missing: string | undefined }
> {
  const binary = `${PEERS}node_modules/.go_gin`;
  for (const name of ["gin-gonic/gin", "gorilla/websocket"]) {
    const path = `${GO_PACKAGES}${name}`;
    if (await Deno.stat(path).then(() => true, () => false)) continue;
    return { binary, missing: `there is no ${path} (Debian's packages)` };
  }
  try {
    const { success, stderr } = await new Deno.Command("go", {
      args: ["build", "-o", binary, `${PEERS}go_gin.go`],
      env: { GO111MODULE: "off", GOPATH: "/usr/share/gocode" },
      ...{ stdout: "null", stderr: "piped" },
    }).output();
    const missing = success ? undefined : new TextDecoder().decode(stderr);
    return { binary, missing };
  } catch {
    return { binary, missing: "there is no go" };
  }
}

export async function start(
  { command, dialect }: Contender,
  env: Record<string, string> = {},
): Promise<Running> {
  const [program = "", ...args] = command;
  const output = await Deno.makeTempFile({ prefix: "rollcall-bench-" });
  const directory = await Deno.makeTempDir({ prefix: "rollcall-bench-" });
  // The output goes into a file. A pipe would block the server when nothing reads it.
  const process = new Deno.Command("sh", {
    args: ["-c", 'exec "$@" >"$OUTPUT" 2>&1', "sh", program, ...args],
    cwd: directory,
    env: {
      ...{ ...ROOM, JWT_SECRET: TEST_SECRET, HOST: "127.0.0.1", PORT: "0" },
      ...{ ...env, OUTPUT: output },
    },
  }).spawn();
  let isOver = false;
  void process.status.then(() => isOver = true);
  const stop = async () => {
    if (!isOver) process.kill("SIGKILL");
    await process.status;
    await Deno.remove(output);
    await Deno.remove(directory, { recursive: true });
  };
  const port = await until("the server listens", () => {
    if (isOver) {
      throw new Error(`the server ended: ${Deno.readTextFileSync(output)}`);
    }
    const text = Deno.readTextFileSync(output);
    return /^listening (\d+)$|"url":"http:\/\/[^"]*:(\d+)\/".*"listening"/m
      .exec(text)?.slice(1).find((group) => group !== undefined);
  }, START_MS).catch(async (err) => {
    await stop();
    throw err;
  });
  const { pid } = process;
  return {
    ...{ url: `http://127.0.0.1:${port}/`, dialect, pid },
    cpuSeconds: () => cpuSeconds(pid),
    residentBytes: () => residentBytes(pid),
    descriptors: () => openDescriptors(pid),
    [Symbol.asyncDispose]: stop,
  };
}
