/**
 * The configuration is read from the environment once, at the start. This is the door of `config/`.
 *
 * `environment.ts` validates the variables, and `contradictions.ts` finds those that do not fit
 * together. All errors are reported at once, each with the variable, the value and what is
 * expected, so that an operator corrects them in one go. Values of secrets never appear in an
 * error.
 *
 * This file turns the valid variables into a frozen `Config`, whose fields are grouped by the part
 * that uses them. After that no part reads the environment. Optional variables become a decision
 * here:
 *
 * - Without a key and without a database the server is in demo mode. It then listens on loopback,
 *   has its own database and secret, and shows the list of online users without a token.
 * - Without a database but with a key, it has its own database and is otherwise as in production.
 *
 * `readDatabaseConfig` and `readTokenConfig` read a part, for commands that must work where the
 * rest of the environment is missing or invalid.
 *
 * @module
 */
import {
  demoErrors,
  deployErrors,
  groupsErrors,
  hasDatabase,
  hasKey,
  keyErrors,
  leaseErrors,
} from "./contradictions.ts";
import {
  type Environment,
  environment,
  type EnvVars,
  parse,
} from "./environment.ts";
import type { AdmissionLimits } from "../access/admission.ts";
import type { Network } from "../access/client_address.ts";
import type { TokenConfig } from "../access/token/verifier.ts";
import type { UsersConfig } from "../postgres/users_table.ts";
import { type UserIds, userIds } from "../client/protocol/user_id.ts";
import type { LogFormat, LogLevel } from "../base/log.ts";

/** The standard claims for a user's name: OpenID Connect Core 1.0, section 5.1. */
const USERNAME_CLAIMS = ["preferred_username", "name"];

/** Where the demo keeps who is in which team. */
export const DEMO_TEAMS_TABLE = "public.demo_teams";

export interface Config {
  readonly port: number;
  readonly host: string;
  /**
   * Whether several processes may listen on the same port. The system then distributes the sockets.
   */
  readonly reusePort: boolean;
  /** What carries HTTP and WebSockets. */
  readonly socketEngine: "native" | "ws";
  /**
   * Neither a key nor a database is configured: the server has demo users, gives out their tokens,
   * and serves the demo page.
   */
  readonly demo: boolean;
  /** Whether the demo's users are in two teams. Otherwise everybody sees everybody. */
  readonly demoTeams: boolean;
  /**
   * `embedded`: a Postgres in the data directory. Without `url` the `PG*` variables say where the
   * database is.
   */
  readonly database:
    | { readonly kind: "embedded" }
    | { readonly kind: "external"; readonly url: string | undefined };
  readonly token: TokenConfig;
  /** Whether a verified token creates its user's row, or renames the user. */
  readonly autoProvision: boolean;
  /** The application's users table, where the status is copied, and where groups come from. */
  readonly users: UsersConfig;
  /** How integer user ids are written in JSON. Others are always strings. */
  readonly userIdJson: "number" | "string";
  /** The bearer token of administrators. `undefined`: there is no admin route. */
  readonly adminToken: string | undefined;
  /** Proxies whose `X-Forwarded-For` is used. */
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
  /** Bytes of lists that a user may read in the long run. */
  readonly listBytesPerSecondMax: number;
  readonly admission: AdmissionLimits;
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
}

/**
 * Reads the configuration of a server.
 *
 * @param readDemoSecret Reads the secret of demo mode. Called only if there is no key.
 * @param isTerminal Whether a person reads the log. It is then text by default, otherwise JSON.
 * @throws {StartError} that lists every error: variable, value, and what is expected.
 */
export function readConfig(
  env: EnvVars,
  readDemoSecret: () => string,
  isTerminal = false,
): Config {
  const values = parse(environment, env, (given, values) => [
    ...leaseErrors(values),
    ...keyErrors(given),
    ...demoErrors(given),
    ...deployErrors(given),
    ...groupsErrors(given),
  ]);
  return Object.freeze(toConfig(values, readDemoSecret, isTerminal));
}

/** Reads what `deno task migrate` needs. Throws as `readConfig` does. */
export function readDatabaseConfig(
  env: EnvVars,
  isTerminal = false,
): Pick<Config, "database" | "users" | "log"> {
  const schema = environment.pick({
    DATABASE_URL: true,
    PGHOST: true,
    PGDATABASE: true,
    USERS_TABLE: true,
    USERS_ID: true,
    USERS_NAME: true,
    USERS_STATUS: true,
    USER_ID_TYPE: true,
    CREATE_USERS: true,
    AUTO_PROVISION: true,
    GROUPS_TABLE: true,
    JWT_GROUPS_CLAIM: true,
    MAX_GROUPS_PER_USER: true,
    DEMO_TEAMS: true,
    LOG_LEVEL: true,
    LOG_FORMAT: true,
  });
  const values = parse(schema, env, groupsErrors);
  return {
    database: toDatabase(values),
    users: toUsers(values),
    log: toLog(values, isTerminal),
  };
}

/**
 * Reads what `deno task token` needs. Throws as `readConfig` does.
 *
 * @returns `demo` says that the environment has no key, so the token's key is the secret of demo
 *   mode.
 */
export function readTokenConfig(
  env: EnvVars,
  readDemoSecret: () => string,
): Pick<Config, "token" | "demo"> & { readonly ids: UserIds } {
  const schema = environment.pick({
    JWT_SECRET: true,
    JWT_JWKS_URL: true,
    JWT_ISSUER: true,
    JWT_AUDIENCE: true,
    JWT_USER_CLAIM: true,
    JWT_USERNAME_CLAIM: true,
    JWT_GROUPS_CLAIM: true,
    MAX_GROUPS_PER_USER: true,
    USERS_TABLE: true,
    USER_ID_TYPE: true,
    USER_ID_JSON: true,
  });
  const values = parse(schema, env, keyErrors);
  // The type of another table's ids is only known to the database: any text may be one.
  const type = values.USERS_TABLE === undefined ? values.USER_ID_TYPE : "text";
  return {
    token: toToken(values, readDemoSecret),
    demo: !hasKey(values),
    ids: userIds(type, values.USER_ID_JSON),
  };
}

function toConfig(
  env: Environment,
  readDemoSecret: () => string,
  isTerminal: boolean,
): Config {
  const demo = !hasKey(env) && !hasDatabase(env);
  const users = toUsers(env);
  return {
    port: env.PORT,
    host: env.HOST ?? (demo ? "127.0.0.1" : "0.0.0.0"),
    reusePort: env.REUSE_PORT === "true",
    socketEngine: env.SOCKET_ENGINE,
    demo,
    demoTeams: env.DEMO_TEAMS === "true",
    database: toDatabase(env),
    token: toToken(env, readDemoSecret),
    autoProvision: env.AUTO_PROVISION === "true",
    users,
    userIdJson: env.USER_ID_JSON,
    adminToken: env.ADMIN_TOKEN,
    trustedProxies: env.TRUSTED_PROXIES ?? [],
    rosterAccess: env.ROSTER_ACCESS ??
      (demo && users.groups === undefined ? "public" : "token"),
    allowedOrigins: env.ALLOWED_ORIGINS,
    offlineGraceMs: env.OFFLINE_GRACE_MS,
    // A user who left before its node stopped has the time that the grace promises.
    drainGraceMs: Math.max(env.DRAIN_GRACE_MS, env.OFFLINE_GRACE_MS),
    drainMs: env.DRAIN_MS,
    leaseMs: env.LEASE_MS,
    heartbeatMs: env.HEARTBEAT_MS,
    fanout: {
      intervalMs: env.FANOUT_INTERVAL_MS,
      stateUsersMax: env.MAX_STATE_USERS,
    },
    watchedUsersMax: env.MAX_WATCHED_USERS,
    listBytesPerSecondMax: env.MAX_LIST_BYTES_PER_SECOND,
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

type UsersVariables = Pick<
  Environment,
  | "USERS_TABLE"
  | "USERS_ID"
  | "USERS_NAME"
  | "USERS_STATUS"
  | "USER_ID_TYPE"
  | "CREATE_USERS"
  | "AUTO_PROVISION"
  | "GROUPS_TABLE"
  | "JWT_GROUPS_CLAIM"
  | "MAX_GROUPS_PER_USER"
  | "DEMO_TEAMS"
>;

function toUsers(env: UsersVariables): UsersConfig {
  return {
    table: env.USERS_TABLE,
    id: env.USERS_ID,
    name: env.USERS_NAME,
    status: env.USERS_STATUS,
    idType: env.USER_ID_TYPE,
    create: env.CREATE_USERS === "true",
    autoProvision: env.AUTO_PROVISION === "true",
    groups: toGroups(env),
  };
}

function toGroups(env: UsersVariables): UsersConfig["groups"] {
  const perUserMax = env.MAX_GROUPS_PER_USER;
  const table = env.DEMO_TEAMS === "true" ? DEMO_TEAMS_TABLE : env.GROUPS_TABLE;
  if (table !== undefined) {
    return { source: { kind: "table", name: table }, perUserMax };
  }
  if (env.JWT_GROUPS_CLAIM === undefined) return undefined;
  const source = { kind: "claim", name: env.JWT_GROUPS_CLAIM } as const;
  return { source, perUserMax };
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
    | "JWT_GROUPS_CLAIM"
    | "MAX_GROUPS_PER_USER"
  >,
  readDemoSecret: () => string,
): Config["token"] {
  return {
    key: env.JWT_JWKS_URL !== undefined
      ? { kind: "jwks", url: new URL(env.JWT_JWKS_URL) }
      : { kind: "secret", secret: env.JWT_SECRET ?? readDemoSecret() },
    issuer: env.JWT_ISSUER,
    audiences: env.JWT_AUDIENCE,
    userClaim: env.JWT_USER_CLAIM,
    usernameClaims: env.JWT_USERNAME_CLAIM === undefined
      ? USERNAME_CLAIMS
      : [env.JWT_USERNAME_CLAIM],
    groupsClaim: env.JWT_GROUPS_CLAIM,
    groupsPerUserMax: env.MAX_GROUPS_PER_USER,
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
