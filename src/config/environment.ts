/**
 * The environment variables: the name, default and range of each, and the errors in given values.
 *
 * What a variable means to an operator is in docs/configuration.md; a test compares its table with
 * this schema. What becomes of a value is not known here.
 *
 * @module
 */
import { isIP } from "node:net";
import { z } from "zod";
import type { Network } from "../access/client_address.ts";
import { WATCHED_USERS_MAX } from "../client/protocol/messages.ts";
import { USER_ID_TYPES } from "../client/protocol/user_id.ts";
import { hostUrls, WRITABLE_TARGETS } from "../postgres/hosts.ts";
import { StartError } from "../base/start_error.ts";
import { type Misspelt, misspeltVariables } from "./misspelt.ts";
import { origins } from "./origins.ts";

/** RFC 7518, section 3.2: the key is at least as long as the hash of HS256, which is 256 bits. */
const SECRET_BYTES_MIN = 32;

/**
 * Different characters of a secret. Random ones have more, also in hexadecimal digits; a word that is
 * repeated, or one character, has fewer.
 */
const SECRET_CHARACTERS_MIN = 8;

/** Their values never appear in an error message. */
const SECRET_VARIABLES = ["JWT_SECRET", "DATABASE_URL", "ADMIN_TOKEN"];

/** A whole number in decimal digits. */
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

const databaseUrl = z.string()
  .refine((value) => /^postgres(ql)?:\/\//.test(value), {
    error: "expected a URL that starts with postgres:// or postgresql://",
    abort: true,
  })
  .refine((value) => hostUrls(value).every(isDatabaseUrl), {
    error:
      "expected a URL such as postgres://user:password@host/database; percent-encode the password",
    abort: true,
  })
  .refine(
    (value) => WRITABLE_TARGETS.includes(targetOf(value)),
    `expected target_session_attrs to be ${
      WRITABLE_TARGETS.join(" or ")
    }, because Rollcall writes`,
  )
  .optional();

/** libpq's `target_session_attrs`. Whatever it is, connections are made to a host that takes writes. */
function targetOf(text: string): string {
  const [, search] = text.split("?", 2);
  return new URLSearchParams(search).get("target_session_attrs") ?? "any";
}

/** Only a URL can name several hosts, as their ports and names belong together. */
const databaseHost = z.string().refine(
  (value) => !value.includes(","),
  "expected one host; several go into DATABASE_URL=postgres://user:password@host1,host2/database",
).optional();

/**
 * Whether the whole text was meant as it is read. In a password, the characters `/`, `?` and `#` end
 * the host, and what comes before them may be read as a host and a port. The rest, with the `@` in
 * it, is then in another part of the URL.
 */
function isDatabaseUrl(text: string): boolean {
  // As libpq and pg, with a user and without a host: `?host=` says where the database is.
  const url = URL.parse(text) ?? URL.parse(text.replace("@/", "@localhost/"));
  if (url === null) return false;
  const { searchParams } = url;
  const isInQuery = searchParams.has("user") || searchParams.has("password");
  const rest = url.pathname + url.hash + (isInQuery ? "" : url.search);
  return !rest.includes("@");
}

/** A key or a token that is too long and too random to guess. */
function secret(text = z.string()) {
  const example = "for example from: openssl rand -base64 32";
  return text.refine(
    (value) => new TextEncoder().encode(value).length >= SECRET_BYTES_MIN,
    {
      error: `expected at least ${SECRET_BYTES_MIN} bytes, ${example}`,
      abort: true,
    },
  ).refine(
    (value) => new Set(value).size >= SECRET_CHARACTERS_MIN,
    `expected random characters, ${example}`,
  ).optional();
}

/** A list of addresses, and of networks such as 10.0.0.0/8. */
const proxies = z.string().transform((value) =>
  value.split(",").map((network) => network.trim())
)
  .refine(
    (list) => list.every((network) => toNetwork(network) !== undefined),
    "expected a comma-separated list of addresses or networks such as 10.0.0.0/8",
  )
  .transform((list) => list.flatMap((network) => toNetwork(network) ?? []))
  .optional();

/** A list of texts, any of which a token may be for. */
const audiences = z.string().transform((value) =>
  value.split(",").map((audience) => audience.trim())
)
  .refine(
    (list) => list.every((audience) => audience !== ""),
    "expected a comma-separated list of audiences",
  )
  .optional();

function toNetwork(text: string): Network | undefined {
  const [, address = "", digits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  if (version === 0) return undefined;
  const bits = version === 4 ? 32 : 128;
  const prefix = digits === undefined ? bits : Number(digits);
  if (prefix > bits) return undefined;
  return { address, prefix, family: version === 4 ? "ipv4" : "ipv6" };
}

export const environment = z.object({
  // Where the server listens.
  PORT: integer(8000, 0, 65_535),
  HOST: z.string().optional(),
  REUSE_PORT: oneOf(["true", "false"]).default("false"),
  SOCKET_ENGINE: oneOf(["native", "ws"]).default("native"),
  // The database.
  DATABASE_URL: databaseUrl,
  PGHOST: databaseHost,
  PGDATABASE: z.string().optional(),
  // Tokens and users.
  JWT_SECRET: secret(),
  JWT_JWKS_URL: url(["https:", "http:"]).optional(),
  JWT_ISSUER: z.string().optional(),
  JWT_AUDIENCE: audiences,
  JWT_USER_CLAIM: z.string().default("sub"),
  AUTO_PROVISION: oneOf(["true", "false"]).default("false"),
  JWT_USERNAME_CLAIM: z.string().optional(),
  JWT_GROUPS_CLAIM: z.string().optional(),
  // The application's users table.
  USERS_TABLE: z.string().optional(),
  USERS_ID: z.string().default("id"),
  USERS_NAME: z.string().optional(),
  USERS_STATUS: z.string().optional(),
  USER_ID_TYPE: oneOf(USER_ID_TYPES).default("integer"),
  CREATE_USERS: oneOf(["true", "false"]).default("false"),
  USER_ID_JSON: oneOf(["number", "string"]).default("number"),
  // Which users see each other.
  GROUPS_TABLE: z.string().optional(),
  MAX_GROUPS_PER_USER: integer(100, 1, 1_000),
  DEMO_TEAMS: oneOf(["true", "false"]).default("false"),
  // Access over HTTP.
  ADMIN_TOKEN: secret(
    z.string().regex(
      /^[!-~]*$/,
      "expected ASCII without spaces, because it is sent in a header",
    ),
  ),
  TRUSTED_PROXIES: proxies,
  ROSTER_ACCESS: oneOf(["token", "public"]).optional(),
  ALLOWED_ORIGINS: origins,
  // Presence and leases.
  OFFLINE_GRACE_MS: integer(0, 0, 600_000),
  DRAIN_GRACE_MS: integer(5_000, 0, 600_000),
  DRAIN_MS: integer(2_000, 0, 5_000),
  LEASE_MS: integer(10_000, 1_000, 600_000),
  HEARTBEAT_MS: integer(3_000, 100, 300_000),
  // Admission.
  MAX_CONNECTIONS: integer(15_000, 1, 1_000_000),
  MAX_CONNECTIONS_PER_USER: integer(32, 1, 10_000),
  MAX_CONNECTIONS_PER_ADDRESS: integer(5_000, 1, 1_000_000),
  MAX_NEW_CONNECTIONS_PER_SECOND: integer(2_000, 1, 1_000_000),
  MAX_FAILED_TOKENS_PER_MINUTE: integer(100, 1, 1_000_000),
  // The list of online users.
  MAX_LIST_BYTES_PER_SECOND: integer(262_144, 1, 1_000_000_000),
  // Messages to clients.
  FANOUT_INTERVAL_MS: integer(50, 0, 10_000),
  MAX_STATE_USERS: integer(20_000, 1, 1_000_000),
  MAX_WATCHED_USERS: integer(1_000, 1, WATCHED_USERS_MAX),
  // The log.
  LOG_LEVEL: oneOf(["debug", "info", "warn", "error"]).default("info"),
  LOG_FORMAT: oneOf(["json", "text"]).optional(),
});

export type Environment = z.infer<typeof environment>;

/**
 * The default of every variable, for the test that compares docs/configuration.md with the schema.
 */
export const DEFAULTS: Readonly<Record<string, unknown>> = Object.fromEntries(
  Object.entries(environment.shape).map((
    [name, type],
  ) => [name, type.parse(undefined)]),
);

/** The environment of a process. An empty variable counts as not set. */
export type EnvVars = Record<string, string | undefined>;

/**
 * Validates each variable, and then the variables together.
 *
 * @param contradictions Lists the errors that only several variables together show. It gets the
 *   variables as given and the valid values.
 * @throws {StartError} that lists all errors.
 */
export function parse<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  env: EnvVars,
  contradictions: (given: EnvVars, values: Partial<Environment>) => string[],
): z.infer<z.ZodObject<Shape>> {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== ""),
  );
  const result = schema.safeParse(given);
  const problems =
    result.error?.issues.map((issue) =>
      describe(String(issue.path[0]), given, issue.message)
    ) ?? [];
  const bad = new Set(
    result.error?.issues.map((issue) => String(issue.path[0])),
  );
  const good = Object.fromEntries(
    Object.entries(given).filter(([name]) => !bad.has(name)),
  );
  problems.push(...contradictions(given, schema.parse(good)));
  if (!result.success || problems.length > 0) {
    problems.push(
      ...misspelt(env).map(({ variable, meant }) =>
        `${variable} is not known: is it ${meant}?`
      ),
    );
    throw new StartError(
      ["Cannot start with this configuration:", ...problems].join("\n  "),
    );
  }
  return result.data;
}

/** The variables of an environment that look like misspelt ones of the server. */
export function misspelt(env: EnvVars): Misspelt[] {
  return misspeltVariables(Object.keys(env), Object.keys(environment.shape));
}

function describe(name: string, given: EnvVars, expected: string): string {
  const value = SECRET_VARIABLES.includes(name)
    ? `[hidden, ${given[name]?.length} characters]`
    : JSON.stringify(given[name]);
  return `${name}=${value}: ${expected}`;
}
