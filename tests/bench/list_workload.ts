/**
 * The workload on the list of online users: the server's CPU for each request.
 *
 * @module
 */
import { type Contender, type Running, start } from "./contenders.ts";
import { Load } from "./load.ts";
import { connectAll, range, type Result, type Stage } from "./workloads.ts";

/** Requests for the list of online users. */
export async function list(
  contender: Contender,
  stage: Stage,
  { users, requests }: { users: number; requests: number },
): Promise<Result> {
  await using server = await start(
    contender,
    await stage.environment(contender),
  );
  using load = new Load(users);
  await connectAll(load, server, users);
  await load.quiet();
  const listUrl = `${server.url}users/online`;
  const { etag, ids } = await readList(listUrl);
  const each = await costOfRequests(server, listUrl, requests);
  const known = etag === null
    ? undefined
    : await costOfRequests(server, listUrl, requests, {
      "if-none-match": etag,
    });
  const faults = ids.join() === range(1, users).join()
    ? []
    : [`the list has ${ids.length} users`];
  return {
    metrics: {
      cpuMicroseconds: each,
      ...known === undefined ? {} : { unchangedCpuMicroseconds: known },
    },
    faults,
  };
}

/** The same requests to a server that answers with a constant text of the list's size. */
export async function constantBody(
  contender: Contender,
  { users, requests }: { users: number; requests: number },
): Promise<Result> {
  const online_users = range(1, users)
    .map((id) => ({ id, username: `user${id}` }));
  const body = JSON.stringify({ online_users });
  await using server = await start(contender, { BODY_BYTES: `${body.length}` });
  const each = await costOfRequests(
    server,
    `${server.url}users/online`,
    requests,
  );
  return { metrics: { cpuMicroseconds: each }, faults: [] };
}

/** Microseconds of the server's CPU for one request. */
async function costOfRequests(
  server: Running,
  url: string,
  requests: number,
  headers: Record<string, string> = {},
): Promise<number> {
  const ask = async (count: number) => {
    for (let n = 0; n < count; n++) {
      await (await fetch(url, { headers })).arrayBuffer();
    }
  };
  await ask(50);
  const before = server.cpuSeconds();
  await Promise.all(Array.from({ length: 8 }, () => ask(requests / 8)));
  return (server.cpuSeconds() - before) / requests * 1e6;
}

async function readList(
  url: string,
): Promise<{ etag: string | null; ids: number[] }> {
  const response = await fetch(url);
  const { online_users: users } = await response.json();
  return {
    etag: response.headers.get("etag"),
    ids: users.map(({ id }: { id: number }) => id),
  };
}
