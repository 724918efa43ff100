/**
 * The environment becomes a frozen `Config`, or one report of everything that is wrong with it.
 *
 * The schema below is the reference: name, default and range of each variable. What a value
 * means to an operator is in the README's table, which a test holds against this file.
 *
 * @module
 */
import { z } from "zod";
import type { LogFormat, LogLevel } from "./log.ts";
import { StartError } from "./start_error.ts";

export type TokenKey =
  | { readonly kind: "secret"; readonly secret: string }
  | { readonly kind: "jwks"; readonly url: URL };

export interface Config {
  readonly port: number;
  readonly host: string;
  /** No key and no database were given: demo users, their tokens for the asking, and the page. */
  readonly demo: boolean;
  /** `embedded`: our own Postgres in the data directory. No `url`: the `PG*` variables say where. */
  readonly database:
    | { readonly kind: "embedded" }
    | { readonly kind: "external"; readonly url: string | undefined };
  readonly token: {
    readonly key: TokenKey;
    readonly issuer: string | undefined;
    readonly audience: string | undefined;
    readonly userClaim: string;
  };
  readonly rosterAccess: "token" | "public";
  readonly allowedOrigins: "*" | readonly string[];
  readonly offlineGraceMs: number;
  readonly drainGraceMs: number;
  readonly drainMs: number;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  readonly admission: {
    readonly connectionsMax: number;
    readonly connectionsPerUserMax: number;
    readonly connectionsPerAddressMax: number;
    readonly newConnectionsPerSecondMax: number;
    readonly failedTokensPerMinuteMax: number;
  };
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
}

/** RFC 7518, section 3.2: a key at least as large as the hash, which is 256 bits. */
const SECRET_BYTES_MIN = 32;

/** Values of these are never repeated in a message. */
const SECRET_VARIABLES = ["JWT_SECRET", "DATABASE_URL"];

const LOOPBACK_HOSTS = ["127.0.0.1", "localhost", "::1"];

function integer(initial: number, min: number, max: number) {
  const expected = `expected a whole number from ${min} to ${max}`;
  return z.string().regex(/^\d{1,10}$/, expected).transform(Number)
    .refine((value) => value >= min && value <= max, expected)
    .default(initial);
}

function oneOf<const Values extends readonly [string, ...string[]]>(
  values: Values,
) {
  return z.enum(values, `expected ${values.join(" or ")}`);
}

function url(protocols: readonly string[]) {
  const names = protocols.map((protocol) => `${protocol}//`).join(" or ");
  return z.string().refine(
    (value) =>
      URL.canParse(value) && protocols.includes(new URL(value).protocol),
    `expected a URL that starts with ${names}`,
  );
}

const origins = z.string().transform((value) =>
  value.split(",").map((origin) => origin.trim())
)
  .refine(
    (list) =>
      list.length === 1 && list[0] === "*" ||
      list.every((origin) =>
        URL.canParse(origin) && new URL(origin).origin === origin
      ),
    "expected * or a comma-separated list of origins such as https://app.example",
  )
  .transform((list) => list[0] === "*" ? "*" as const : list)
  .default("*");

const environment = z.object({
  PORT: integer(8000, 0, 65_535),
  HOST: z.string().optional(),
  DATABASE_URL: url(["postgres:", "postgresql:"]).optional(),
  PGHOST: z.string().optional(),
  PGDATABASE: z.string().optional(),
  JWT_SECRET: z.string().refine(
    (secret) => new TextEncoder().encode(secret).length >= SECRET_BYTES_MIN,
    `expected at least ${SECRET_BYTES_MIN} bytes, for example from: openssl rand -base64 32`,
  ).optional(),
  JWT_JWKS_URL: url(["https:", "http:"]).optional(),
  JWT_ISSUER: z.string().optional(),
  JWT_AUDIENCE: z.string().optional(),
  JWT_USER_CLAIM: z.string().default("sub"),
  ROSTER_ACCESS: oneOf(["token", "public"]).optional(),
  ALLOWED_ORIGINS: origins,
  OFFLINE_GRACE_MS: integer(0, 0, 600_000),
  DRAIN_GRACE_MS: integer(5_000, 0, 600_000),
  DRAIN_MS: integer(2_000, 0, 5_000),
  LEASE_MS: integer(10_000, 1_000, 600_000),
  HEARTBEAT_MS: integer(3_000, 100, 300_000),
  MAX_CONNECTIONS: integer(15_000, 1, 1_000_000),
  MAX_CONNECTIONS_PER_USER: integer(32, 1, 10_000),
  MAX_CONNECTIONS_PER_ADDRESS: integer(5_000, 1, 1_000_000),
  MAX_NEW_CONNECTIONS_PER_SECOND: integer(2_000, 1, 1_000_000),
  MAX_FAILED_TOKENS_PER_MINUTE: integer(100, 1, 1_000_000),
  LOG_LEVEL: oneOf(["debug", "info", "warn", "error"]).default("info"),
  LOG_FORMAT: oneOf(["json", "text"]).optional(),
});

type Environment = z.infer<typeof environment>;

/** The variables that are read, with their defaults, for the README's table. */
export const DEFAULTS: Readonly<Record<string, unknown>> = Object.fromEntries(
  Object.entries(environment.shape).map((
    [name, type],
  ) => [name, type.parse(undefined)]),
);

/**
 * @param env The variables; an empty one counts as not set.
 * @param readDemoSecret Asked for the secret that demo mode keeps, only in demo mode.
 * @param isTerminal Whether a person reads the log.
 * @throws {StartError} that lists every fault: variable, value, and what is expected.
 */
export function readConfig(
  env: Record<string, string | undefined>,
  readDemoSecret: () => string,
  isTerminal = false,
): Config {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== ""),
  );
  const result = environment.safeParse(given);
  const faults = result.success
    ? contradictions(result.data)
    : result.error.issues.map((issue) =>
      describe(String(issue.path[0]), given, issue.message)
    );
  if (!result.success || faults.length > 0) {
    throw new StartError(
      ["Cannot start with this configuration:", ...faults].join("\n  "),
    );
  }
  return Object.freeze(toConfig(result.data, readDemoSecret, isTerminal));
}

function describe(
  name: string,
  env: Record<string, string | undefined>,
  expected: string,
): string {
  const value = SECRET_VARIABLES.includes(name)
    ? `[hidden, ${env[name]?.length} characters]`
    : JSON.stringify(env[name]);
  return `${name}=${value}: ${expected}`;
}

function hasDatabase(env: Environment): boolean {
  return (env.DATABASE_URL ?? env.PGHOST ?? env.PGDATABASE) !== undefined;
}

function isDemo(env: Environment): boolean {
  return env.JWT_SECRET === undefined && env.JWT_JWKS_URL === undefined &&
    !hasDatabase(env);
}

/** What no variable shows alone. */
function contradictions(env: Environment): string[] {
  const faults: string[] = [];
  if (env.HEARTBEAT_MS * 2 >= env.LEASE_MS) {
    faults.push(
      `HEARTBEAT_MS=${env.HEARTBEAT_MS}: expected less than half of LEASE_MS, which is ${env.LEASE_MS}`,
    );
  }
  if (env.JWT_SECRET !== undefined && env.JWT_JWKS_URL !== undefined) {
    faults.push(
      "JWT_SECRET and JWT_JWKS_URL are both set: expected one of them",
    );
  }
  if (
    env.JWT_SECRET === undefined && env.JWT_JWKS_URL === undefined &&
    hasDatabase(env)
  ) {
    faults.push(
      "JWT_SECRET and JWT_JWKS_URL are both missing: expected one of them beside a database",
    );
  }
  if (
    isDemo(env) && env.HOST !== undefined && !LOOPBACK_HOSTS.includes(env.HOST)
  ) {
    faults.push(
      `HOST="${env.HOST}": expected a loopback address in demo mode, where anybody who reaches the server gets a token; set JWT_SECRET to serve others`,
    );
  }
  return faults;
}

function toConfig(
  env: Environment,
  readDemoSecret: () => string,
  isTerminal: boolean,
): Config {
  const demo = isDemo(env);
  return {
    port: env.PORT,
    host: env.HOST ?? (demo ? "127.0.0.1" : "0.0.0.0"),
    demo,
    database: hasDatabase(env)
      ? { kind: "external", url: env.DATABASE_URL }
      : { kind: "embedded" },
    token: {
      key: env.JWT_JWKS_URL !== undefined
        ? { kind: "jwks", url: new URL(env.JWT_JWKS_URL) }
        : { kind: "secret", secret: env.JWT_SECRET ?? readDemoSecret() },
      issuer: env.JWT_ISSUER,
      audience: env.JWT_AUDIENCE,
      userClaim: env.JWT_USER_CLAIM,
    },
    rosterAccess: env.ROSTER_ACCESS ?? (demo ? "public" : "token"),
    allowedOrigins: env.ALLOWED_ORIGINS,
    offlineGraceMs: env.OFFLINE_GRACE_MS,
    drainGraceMs: env.DRAIN_GRACE_MS,
    drainMs: env.DRAIN_MS,
    leaseMs: env.LEASE_MS,
    heartbeatMs: env.HEARTBEAT_MS,
    admission: {
      connectionsMax: env.MAX_CONNECTIONS,
      connectionsPerUserMax: env.MAX_CONNECTIONS_PER_USER,
      connectionsPerAddressMax: env.MAX_CONNECTIONS_PER_ADDRESS,
      newConnectionsPerSecondMax: env.MAX_NEW_CONNECTIONS_PER_SECOND,
      failedTokensPerMinuteMax: env.MAX_FAILED_TOKENS_PER_MINUTE,
    },
    log: {
      level: env.LOG_LEVEL,
      format: env.LOG_FORMAT ?? (isTerminal ? "text" : "json"),
    },
  };
}
