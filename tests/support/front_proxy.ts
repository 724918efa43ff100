/**
 * The proxies whose configurations are in `docs/`, in front of real servers.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import { statusCode } from "./endpoints.ts";
import { freePort } from "./ports.ts";
import { ROOT, type TestServer } from "./server.ts";
import { connectSync, type SyncClient } from "./sync_client.ts";
import { until } from "./until.ts";

/** What differs from the documented configuration. */
interface Site {
  readonly port: number;
  /** The host and the port of each node. */
  readonly nodes: readonly string[];
  /** Sockets of one client address, where the proxy limits them. */
  readonly socketsMax: number;
  readonly directory: string;
}

export interface ProxyKind {
  readonly program: string;
  readonly document: string;
  readonly args: (file: string) => string[];
  /** The documented configuration, with ports and paths that need no root. */
  readonly adapt: (text: string, site: Site) => string;
}

/** The address from which nginx and HAProxy connect. It differs from that of the clients. */
export const PROXY_ADDRESS = "127.0.0.9";
export const SOCKETS_MAX = 5;

export const NGINX: ProxyKind = {
  program: "/usr/sbin/nginx",
  document: "docs/nginx.conf",
  args: (file) => ["-c", file],
  adapt: (text, { port, nodes, socketsMax, directory }) => {
    const upstream = /^ *server 127\.0\.0\.1:8000.*\n/m.exec(text)?.[0] ?? "";
    const upstreams = nodes.map((node) =>
      upstream.replace("127.0.0.1:8000", node)
    );
    const site = text.replace("listen 80;", `listen 127.0.0.1:${port};`)
      .replace(upstream, upstreams.join(""))
      .replace("/var/log/nginx/rollcall.log", `${directory}/access.log`)
      .replace("/var/log/nginx/rollcall-error.log", `${directory}/error.log`)
      .replace("limit_conn rollcall 100;", `limit_conn rollcall ${socketsMax};`)
      .replace("proxy_pass", `proxy_bind ${PROXY_ADDRESS};\n    proxy_pass`);
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((name) => `${name}_temp_path ${directory}/${name};`);
    return `daemon off; pid ${directory}/pid; error_log stderr;
      events { worker_connections 10000; } http { ${
      temporary.join(" ")
    } ${site} }`;
  },
};

export const HAPROXY: ProxyKind = {
  program: "/usr/sbin/haproxy",
  document: "docs/haproxy.cfg",
  args: (file) => ["-f", file],
  adapt: (text, { port, nodes, socketsMax }) => {
    const servers = nodes.map((node, nth) => `  server n${nth} ${node}\n`);
    return text.replace("bind :80 ", `bind 127.0.0.1:${port} `)
      .replace("gt 100", `gt ${socketsMax}`)
      .replace("rise 1", `rise 1 source ${PROXY_ADDRESS}`)
      .replace(/^ *server node1 .*\n/m, servers.join(""));
  },
};

export const CADDY: ProxyKind = {
  program: "/usr/bin/caddy",
  document: "docs/Caddyfile",
  args: (file) => ["run", "--adapter", "caddyfile", "--config", file],
  adapt: (text, { port, nodes }) =>
    text.replace("presence.example", `http://127.0.0.1:${port}`)
      .replace(/^{\n/m, "{\n\tadmin off\n")
      .replace("127.0.0.1:8000", nodes.join(" ")),
};

export interface RunningProxy extends AsyncDisposable {
  readonly url: string;
  /** Has the access log of nginx. */
  readonly directory: string;
  /** Its output so far: with HAProxy, its access log. */
  output(): Promise<string>;
}

/** Whether the proxy is missing, with a line about it. */
export async function isMissing({ program }: ProxyKind): Promise<boolean> {
  if (await Deno.stat(program).then(() => true, () => false)) return false;
  const text = `skipping the tests of a proxy: no ${program}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
  return true;
}

export async function startFrontProxy(
  { program, document, args, adapt }: ProxyKind,
  nodes: readonly string[],
  { port = freePort(), socketsMax = SOCKETS_MAX } = {},
): Promise<RunningProxy> {
  const directory = await Deno.makeTempDir({ prefix: "rollcall-proxy-" });
  // The workers of nginx are another user.
  await Deno.chmod(directory, 0o755);
  const text = await Deno.readTextFile(`${ROOT}${document}`);
  const file = `${directory}/configuration`;
  const site = { port, nodes, socketsMax, directory };
  await Deno.writeTextFile(file, adapt(text, site));
  const words = [program, ...args(file)].join(" ");
  const process = new Deno.Command("sh", {
    args: ["-c", `exec ${words} >${directory}/output 2>&1`],
    env: { XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory },
  }).spawn();
  const url = `http://127.0.0.1:${port}/`;
  const output = () => Deno.readTextFile(`${directory}/output`);
  await until(
    "the proxy listens",
    () => statusCode(`${url}healthz`).then(() => true, () => false),
  ).catch(async (err) => {
    throw new Error(await output(), { cause: err });
  });
  return {
    ...{ url, directory, output },
    [Symbol.asyncDispose]: async () => {
      // At once, with the sockets that are open.
      process.kill("SIGTERM");
      await process.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** User 1 sees user 2 come and go. Returns the client of user 1, which is still connected. */
export async function seesAnother(url: string): Promise<SyncClient> {
  const ada = await connectSync(url, 1);
  await ada.holds([1]);
  {
    await using bob = await connectSync(url, 2, { watch: [1] });
    await bob.holds([1]);
    await ada.holds([1, 2]);
  }
  await ada.holds([1]);
  return ada;
}

/** The server refuses a bad token. Returns the request's id in its log. */
export async function refusedRequestId(
  url: string,
  server: Pick<TestServer, "log">,
): Promise<string> {
  const refused = await connectSync(url, 1, { token: "bad" });
  equal((await refused.closed).code, 1008);
  const line = await until(
    "the refusal is logged",
    () => server.log.find((line) => line.includes("socket refused")),
  );
  return JSON.parse(line).requestId;
}
