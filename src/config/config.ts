/**
 * The environment becomes a frozen `Config`, or one report of everything that is wrong with it.
 *
 * @module
 */
import {
  demoFaults,
  deployFaults,
  type Environment,
  environment,
  type EnvVars,
  hasDatabase,
  hasKey,
  keyFaults,
  leaseFaults,
  parse,
} from "./environment.ts";
import type { AdmissionLimits } from "../access/admission.ts";
import type { Network } from "../access/client_address.ts";
import type { TokenConfig } from "../access/token/verifier.ts";
import type { LogFormat, LogLevel } from "../base/log.ts";

/** OpenID Connect Core 1.0, section 5.1. */
const USERNAME_CLAIMS = ["preferred_username", "name"];

export interface Config {
  readonly port: number;
  readonly host: string;
  /** Whether other processes may listen on the same port, and the system spreads the sockets. */
  readonly reusePort: boolean;
  /** No key and no database were given: demo users, their tokens for the asking, and the page. */
  readonly demo: boolean;
  /** `embedded`: our own Postgres in the data directory. No `url`: the `PG*` variables say where. */
  readonly database:
    | { readonly kind: "embedded" }
    | { readonly kind: "external"; readonly url: string | undefined };
  readonly token: TokenConfig;
  /** Whether a user who comes with a good token is made a row of, or renamed. */
  readonly autoProvision: boolean;
  /** Who has it may give orders. Nothing: nobody may. */
  readonly adminToken: string | undefined;
  /** Whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly Network[];
  readonly rosterAccess: "token" | "public";
  readonly allowedOrigins: "*" | readonly string[];
  readonly offlineGraceMs: number;
  readonly drainGraceMs: number;
  readonly drainMs: number;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  readonly fanout: {
    readonly intervalMs: number;
    readonly stateUsersMax: number;
  };
  readonly watchedUsersMax: number;
  readonly admission: AdmissionLimits;
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
}

/**
 * @param readDemoSecret Asked for the secret that demo mode keeps, only in demo mode.
 * @param isTerminal Whether a person reads the log.
 * @throws {StartError} that lists every fault: variable, value, and what is expected.
 */
export function readConfig(
  env: EnvVars,
  readDemoSecret: () => string,
  isTerminal = false,
): Config {
  const values = parse(environment, env, (given, values) => [
    ...leaseFaults(values),
    ...keyFaults(given),
    ...demoFaults(given),
    ...deployFaults(given),
  ]);
  return Object.freeze(toConfig(values, readDemoSecret, isTerminal));
}

/** What `migrate` needs of it. Throws as `readConfig` does. */
export function readDatabaseConfig(
  env: EnvVars,
  isTerminal = false,
): Pick<Config, "database" | "log"> {
  const schema = environment.pick({
    DATABASE_URL: true,
    PGHOST: true,
    PGDATABASE: true,
    LOG_LEVEL: true,
    LOG_FORMAT: true,
  });
  const values = parse(schema, env, () => []);
  return { database: toDatabase(values), log: toLog(values, isTerminal) };
}

/** What `token` needs of it. Throws as `readConfig` does. */
export function readTokenConfig(
  env: EnvVars,
  readDemoSecret: () => string,
): Config["token"] {
  const schema = environment.pick({
    JWT_SECRET: true,
    JWT_JWKS_URL: true,
    JWT_ISSUER: true,
    JWT_AUDIENCE: true,
    JWT_USER_CLAIM: true,
    JWT_USERNAME_CLAIM: true,
  });
  return toToken(parse(schema, env, keyFaults), readDemoSecret);
}

function toConfig(
  env: Environment,
  readDemoSecret: () => string,
  isTerminal: boolean,
): Config {
  const demo = !hasKey(env) && !hasDatabase(env);
  return {
    port: env.PORT,
    host: env.HOST ?? (demo ? "127.0.0.1" : "0.0.0.0"),
    reusePort: env.REUSE_PORT === "true",
    demo,
    database: toDatabase(env),
    token: toToken(env, readDemoSecret),
    autoProvision: env.AUTO_PROVISION === "true",
    adminToken: env.ADMIN_TOKEN,
    trustedProxies: env.TRUSTED_PROXIES ?? [],
    rosterAccess: env.ROSTER_ACCESS ?? (demo ? "public" : "token"),
    allowedOrigins: env.ALLOWED_ORIGINS,
    offlineGraceMs: env.OFFLINE_GRACE_MS,
    drainGraceMs: env.DRAIN_GRACE_MS,
    drainMs: env.DRAIN_MS,
    leaseMs: env.LEASE_MS,
    heartbeatMs: env.HEARTBEAT_MS,
    fanout: {
      intervalMs: env.FANOUT_INTERVAL_MS,
      stateUsersMax: env.MAX_STATE_USERS,
    },
    watchedUsersMax: env.MAX_WATCHED_USERS,
    admission: {
      connectionsMax: env.MAX_CONNECTIONS,
      connectionsPerUserMax: env.MAX_CONNECTIONS_PER_USER,
      connectionsPerAddressMax: env.MAX_CONNECTIONS_PER_ADDRESS,
      newConnectionsPerSecondMax: env.MAX_NEW_CONNECTIONS_PER_SECOND,
      failedTokensPerMinuteMax: env.MAX_FAILED_TOKENS_PER_MINUTE,
    },
    log: toLog(env, isTerminal),
  };
}

function toDatabase(
  env: Pick<Environment, "DATABASE_URL" | "PGHOST" | "PGDATABASE">,
): Config["database"] {
  return hasDatabase(env)
    ? { kind: "external", url: env.DATABASE_URL }
    : { kind: "embedded" };
}

function toToken(
  env: Pick<
    Environment,
    | "JWT_SECRET"
    | "JWT_JWKS_URL"
    | "JWT_ISSUER"
    | "JWT_AUDIENCE"
    | "JWT_USER_CLAIM"
    | "JWT_USERNAME_CLAIM"
  >,
  readDemoSecret: () => string,
): Config["token"] {
  return {
    key: env.JWT_JWKS_URL !== undefined
      ? { kind: "jwks", url: new URL(env.JWT_JWKS_URL) }
      : { kind: "secret", secret: env.JWT_SECRET ?? readDemoSecret() },
    issuer: env.JWT_ISSUER,
    audience: env.JWT_AUDIENCE,
    userClaim: env.JWT_USER_CLAIM,
    usernameClaims: env.JWT_USERNAME_CLAIM === undefined
      ? USERNAME_CLAIMS
      : [env.JWT_USERNAME_CLAIM],
  };
}

function toLog(
  env: Pick<Environment, "LOG_LEVEL" | "LOG_FORMAT">,
  isTerminal: boolean,
): Config["log"] {
  return {
    level: env.LOG_LEVEL,
    format: env.LOG_FORMAT ?? (isTerminal ? "text" : "json"),
  };
}
