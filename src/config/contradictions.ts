/**
 * What is wrong with variables that are valid one by one, but not together.
 *
 * Each function returns sentences for an operator, and none if nothing is wrong. `environment.ts`
 * validates each variable.
 *
 * @module
 */
import type { Environment, EnvVars } from "./environment.ts";

/** Hosts that only clients on the same machine can reach. */
const LOOPBACK_HOSTS = ["127.0.0.1", "localhost", "::1"];

/** Whether the environment names a key to verify tokens with. */
export function hasKey(
  given: { [Name in "JWT_SECRET" | "JWT_JWKS_URL"]?: string | undefined },
): boolean {
  return (given.JWT_SECRET ?? given.JWT_JWKS_URL) !== undefined;
}

const DATABASE_VARIABLES = ["DATABASE_URL", "PGHOST", "PGDATABASE"] as const;

type DatabaseVariable = typeof DATABASE_VARIABLES[number];

/** The variables that name a database. `PG*` variables are those of libpq. */
function databaseNames(
  given: { [Name in DatabaseVariable]?: string | undefined },
): DatabaseVariable[] {
  return DATABASE_VARIABLES.filter((name) => given[name] !== undefined);
}

/** Whether the environment names a database. */
export function hasDatabase(
  given: { [Name in DatabaseVariable]?: string | undefined },
): boolean {
  return databaseNames(given).length > 0;
}

/** A node must be able to miss one heartbeat without losing its lease. */
export function leaseErrors(
  { HEARTBEAT_MS = 0, LEASE_MS = Infinity }: Partial<Environment>,
): string[] {
  if (HEARTBEAT_MS * 2 < LEASE_MS) return [];
  return [
    `HEARTBEAT_MS=${HEARTBEAT_MS}: expected less than half of LEASE_MS, which is ${LEASE_MS}`,
  ];
}

/**
 * There is exactly one key. Only demo mode makes its own, and a server with a database is not in
 * demo mode.
 */
export function keyErrors(given: EnvVars): string[] {
  if (given.JWT_SECRET !== undefined && given.JWT_JWKS_URL !== undefined) {
    return ["JWT_SECRET and JWT_JWKS_URL are both set: expected one of them"];
  }
  const names = databaseNames(given);
  if (hasKey(given) || names.length === 0) return [];
  return [
    `JWT_SECRET and JWT_JWKS_URL are both missing: expected one of them beside a database, which is set by ${
      names.join(" and ")
    }; demo mode needs neither`,
  ];
}

/** The embedded database stores files, and Deno Deploy has none. It also has its own HTTP server. */
export function deployErrors(given: EnvVars): string[] {
  if (given.DENO_DEPLOY !== "1") return [];
  return [
    ...hasDatabase(given) ? [] : [
      "DATABASE_URL and PGHOST are both missing: expected a linked database on Deno Deploy, which stores no files",
    ],
    ...given.SOCKET_ENGINE !== "ws" ? [] : [
      'SOCKET_ENGINE="ws": expected native on Deno Deploy, which has its own HTTP server',
    ],
  ];
}

/** The groups have one source, and are nothing for a list that everybody may read. */
export function groupsErrors(given: EnvVars): string[] {
  const sources = ["GROUPS_TABLE", "JWT_GROUPS_CLAIM"]
    .filter((name) => given[name] !== undefined);
  if (given.DEMO_TEAMS === "true") sources.push("DEMO_TEAMS");
  return [
    ...sources.length < 2 ? [] : [
      `${sources.join(" and ")} are both set: expected one of them`,
    ],
    ...sources.length === 0 || given.ROSTER_ACCESS !== "public" ? [] : [
      `ROSTER_ACCESS="public": expected token beside ${
        sources[0]
      }, because groups limit who sees whom, and a list without a token shows everybody`,
    ],
  ];
}

/**
 * Demo mode gives a token to every client, so only this machine may reach it. No other server has the
 * demo's teams.
 */
export function demoErrors(given: EnvVars): string[] {
  if (hasKey(given) || hasDatabase(given)) {
    return given.DEMO_TEAMS === "true"
      ? [
        'DEMO_TEAMS="true": expected false outside of demo mode; set GROUPS_TABLE or JWT_GROUPS_CLAIM for groups of your own',
      ]
      : [];
  }
  const isReachable = given.HOST !== undefined &&
    !LOOPBACK_HOSTS.includes(given.HOST);
  if (!isReachable) return [];
  return [
    `HOST="${given.HOST}": expected ${
      LOOPBACK_HOSTS.join(" or ")
    } in demo mode, which gives a token to every client; set JWT_SECRET to listen on other addresses`,
  ];
}
