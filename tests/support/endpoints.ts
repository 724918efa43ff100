/**
 * Reads what a server's HTTP endpoints answer.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { until } from "./until.ts";

export interface Located {
  /** Ends with a slash. */
  readonly url: string;
}

/** The status of a response whose body does not matter. */
export async function statusCode(
  url: string,
  init: RequestInit = {},
): Promise<number> {
  const response = await fetch(url, init);
  await response.body?.cancel();
  return response.status;
}

/** The ids that `/users/online` lists. The list must be public, or the headers hold a token. */
export async function onlineIds(
  { url }: Located,
  headers: Record<string, string> = {},
): Promise<UserId[]> {
  const response = await fetch(`${url}users/online`, { headers });
  const { online_users } = await response.json();
  return online_users.map(({ id }: { id: UserId }) => id);
}

/**
 * Checks that a server verified no more bad tokens of one address than it should, and refused the
 * others with 429. An address with too many bad tokens earns one a second.
 *
 * @param ask Sends the n-th bad token. Returns the status of the answer.
 * @param max `MAX_FAILED_TOKENS_PER_MINUTE` of the server.
 */
export async function expectThrottled(
  ask: (n: number) => Promise<number>,
  max: number,
): Promise<void> {
  const startedAt = performance.now();
  const statuses: number[] = [];
  for (let n = 0; n < 10 * max; n++) statuses.push(await ask(n));
  const seconds = (performance.now() - startedAt) / 1_000;
  const verified = statuses.filter((status) => status !== 429).length;
  ok(
    verified >= max && verified <= max + seconds,
    `${verified} of ${statuses} were verified in ${seconds} s`,
  );
}

export interface ReadinessAnswer {
  readonly status: number;
  /** `"ok"` or what is wrong, by the part that was checked. */
  readonly checks: Readonly<Record<string, string>>;
  /** Only if the node is not ready. */
  readonly error?: { readonly code: string; readonly message: string };
}

export async function readiness({ url }: Located): Promise<ReadinessAnswer> {
  const response = await fetch(`${url}readyz`);
  return { ...await response.json(), status: response.status };
}

/** Values by name and labels, as the metrics endpoint writes them. */
export async function metrics({ url }: Located): Promise<Map<string, number>> {
  const response = await fetch(`${url}metrics`);
  const lines = (await response.text()).split("\n");
  return new Map(
    lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

/** Waits until the server has registered so many connections of version 1. */
export async function v1Connected(
  server: Located,
  count: number,
): Promise<void> {
  await until(
    `${count} connections of version 1 are registered`,
    async () =>
      (await metrics(server)).get("rollcall_v1_connections") === count,
  );
}
