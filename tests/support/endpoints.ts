/**
 * Reads what a server's HTTP endpoints answer.
 *
 * @module
 */
import type { UserId } from "../../src/protocol/user_id.ts";
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
