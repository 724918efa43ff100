/** A database on a Unix socket, with as few permissions as Deno demands. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import {
  ROOT,
  runFile,
  startServer,
  startServerOn,
  TEST_SECRET,
} from "../support/server.ts";
import { startSocketProxy } from "../support/socket_proxy.ts";

const postgres = postgresForThisFile();

/** The same database as seen through a socket. */
async function onSocket() {
  const url = new URL(await postgres.database(2));
  const proxy = await startSocketProxy(url.href);
  return {
    ...{ url, path: proxy.path, folder: proxy.folder },
    login: `${url.username}:${url.password}`,
    name: url.pathname.slice(1),
    // A flag replaces what the set in deno.json says of the same permission.
    permissions:
      `-P=production --allow-read=${ROOT}migrations,${ROOT}src,${proxy.path} --allow-write=${proxy.path}`,
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  };
}

type Socket = Awaited<ReturnType<typeof onSocket>>;

const urls: Record<string, (socket: Socket) => string> = {
  "a host in the query": ({ login, name, folder }) =>
    `postgres://${login}@/${name}?host=${folder}`,
  "the user in the query too": ({ url, name, folder }) =>
    `postgres:///${name}?host=${folder}&user=${url.username}&password=${url.password}`,
  "a percent-encoded host": ({ login, name, folder }) =>
    `postgres://${login}@${encodeURIComponent(folder)}/${name}`,
};

for (const [name, urlOf] of Object.entries(urls)) {
  Deno.test(`DATABASE_URL may name a Unix socket, with ${name}`, async () => {
    await using socket = await onSocket();
    await using server = await startServerOn(urlOf(socket), {}, {
      permissions: socket.permissions,
    });
    await using ada = await connect(server.url, 1);
    await using _bob = await connect(server.url, 2);
    await ada.receives("user_online", 2);
    equal(await server.stop(), 0);
  });
}

Deno.test("PGHOST may name a Unix socket, also where the server has all permissions", async () => {
  await using socket = await onSocket();
  const { url, folder, name } = socket;
  await using server = await startServer({
    env: {
      ...{ PGHOST: folder, PGDATABASE: name, JWT_SECRET: TEST_SECRET },
      ...{ PGUSER: url.username, PGPASSWORD: url.password },
    },
  });
  await using ada = await connect(server.url, 1);
  equal(ada.socket.readyState, WebSocket.OPEN);
});

Deno.test("without the permission for the socket the start fails with 2, and says so", async () => {
  await using socket = await onSocket();
  const DATABASE_URL = urls["a host in the query"]?.(socket) ?? "";
  const { code, stderr } = await runFile("main.ts", [], {
    env: { DATABASE_URL, JWT_SECRET: TEST_SECRET },
    permissions: "-P=production",
  });
  equal(code, 2);
  match(
    stderr,
    /Cannot connect to the socket \S+\.s\.PGSQL\.5432 \(user \w+, /,
  );
  match(stderr, /Deno demands the permissions to read and to write the socket/);
  ok(!stderr.includes(socket.url.password));
});

/** What a process may do after it dropped permissions. */
async function rightsAfter(sockets: string[], flags: string) {
  const cwd = await Deno.makeTempDir();
  const script = `${cwd}/rights.ts`;
  await Deno.writeTextFile(
    script,
    `import { dropPermissions } from "${ROOT}src/permissions.ts";
     await dropPermissions(${JSON.stringify(sockets)});
     const stateOf = async (query) => (await Deno.permissions.query(query)).state;
     console.log(JSON.stringify({
       run: await stateOf({ name: "run" }),
       data: await stateOf({ name: "write", path: ".data" }),
       socket: await stateOf({ name: "write", path: "/run/pg/.s.PGSQL.5432" }),
     }));`,
  );
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...flags.split(" "), script],
    cwd,
    stderr: "inherit",
  }).output();
  ok(success);
  await Deno.remove(cwd, { recursive: true });
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("a server gives up the permissions that its database does not need", async () => {
  const socket = "/run/pg/.s.PGSQL.5432";
  const flags = `--allow-run --allow-read --allow-write=.data,${socket}`;
  const none = { run: "prompt", data: "prompt", socket: "prompt" };
  deepEqual(await rightsAfter([], flags), none);
  deepEqual(await rightsAfter([], "--allow-all"), none);
  deepEqual(await rightsAfter([socket], flags), { ...none, socket: "granted" });
});
