/**
 * User ids: which types there are, and how one is read, compared and written in a list.
 *
 * This is the only file that knows what an id is. Everywhere else an id is an opaque value that
 * can be compared with `===` and used as a key. This folder imports nothing from outside it, so
 * that a client library can share it with the server.
 *
 * @module
 */

/** A JSON number for integer types, a JSON string for the others. */
export type UserId = number | string;

/** The types of `USERS_ID`, as Postgres names them. Domains count as what they are made of. */
export const USER_ID_TYPES = [
  "smallint",
  "integer",
  "bigint",
  "uuid",
  "text",
] as const;

export type UserIdType = typeof USER_ID_TYPES[number];

/** The largest id of the default type, `integer`. */
export const USER_ID_MAX = 2_147_483_647;

/** Characters of a text id. */
export const USER_ID_LENGTH_MAX = 255;

const INTEGER_MAX: Readonly<Partial<Record<UserIdType, bigint>>> = {
  smallint: 32_767n,
  integer: BigInt(USER_ID_MAX),
  bigint: 9_223_372_036_854_775_807n,
};

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/** What an id of one type looks like. Get one from `userIds`. */
export interface UserIds {
  readonly type: UserIdType;
  /** Completes "expected ...". */
  readonly expected: string;
  /**
   * Reads an id from a token, a message, a URL or a database row. Integers may be numbers or
   * decimal text. Anything else, and what is out of range, is `undefined`.
   */
  parse(value: unknown): UserId | undefined;
  /** Reads an id from JSON, where an integer is no text and the other way round. */
  parseJson(value: unknown): UserId | undefined;
  /** Orders ids as Postgres does: by value, text by code point. For `sort`. */
  compare(a: UserId, b: UserId): number;
}

/** @param json Whether integers are JSON numbers, which end at 2^53 - 1, or JSON strings. */
export function userIds(
  type: UserIdType,
  json: "number" | "string" = "number",
): UserIds {
  const max = INTEGER_MAX[type];
  if (max === undefined) {
    const parse = type === "uuid" ? parseUuid : parseText;
    const expected = type === "uuid"
      ? "a UUID"
      : `text of 1 to ${USER_ID_LENGTH_MAX} characters`;
    return {
      ...{ type, expected: `a user id: ${expected}`, parse, compare },
      parseJson: parse,
    };
  }
  const isSafe = max <= BigInt(Number.MAX_SAFE_INTEGER);
  const last = json === "string" || isSafe
    ? max
    : BigInt(Number.MAX_SAFE_INTEGER);
  const advice = last < max ? "; set USER_ID_JSON=string for larger ones" : "";
  const parse = (value: unknown) => {
    const id = parseInteger(value, last);
    return id === undefined || json === "string" ? id : Number(id);
  };
  return {
    type,
    expected: `a user id from 1 to ${last}${advice}`,
    parse,
    parseJson: (value) => {
      const isNumber = typeof value === "number";
      return isNumber === (json === "number") ? parse(value) : undefined;
    },
    compare: json === "string" ? compareDecimals : compare,
  };
}

/** Ids of the plan: positive 32-bit integers. */
export const INTEGER_IDS: UserIds = userIds("integer");

/**
 * Canonical decimal text of an integer from 1 to `max`. A number beyond 2^53 - 1 was rounded when
 * it was read, so it may be the id of another user.
 */
function parseInteger(value: unknown, max: bigint): string | undefined {
  const digits = Number.isSafeInteger(value) ? String(value) : value;
  if (typeof digits !== "string" || !/^[1-9]\d{0,18}$/.test(digits)) {
    return undefined;
  }
  return BigInt(digits) <= max ? digits : undefined;
}

function parseUuid(value: unknown): string | undefined {
  return typeof value === "string" && UUID.test(value)
    ? value.toLowerCase()
    : undefined;
}

/**
 * NUL cannot be stored, and a lone surrogate cannot be encoded. `isWellFormed` is newer than some of
 * the browsers that the client library supports.
 */
const NUL_OR_LONE_SURROGATE = /[\0\p{Surrogate}]/u;

function parseText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" &&
      !NUL_OR_LONE_SURROGATE.test(value) &&
      [...value].length <= USER_ID_LENGTH_MAX
    ? value
    : undefined;
}

function compare(a: UserId, b: UserId): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return compareCodePoints(String(a), String(b));
}

/** `<` compares UTF-16 units, which puts astral characters before U+E000. */
function compareCodePoints(a: string, b: string): number {
  for (let at = 0; at < a.length && at < b.length; at++) {
    if (a.charCodeAt(at) === b.charCodeAt(at)) continue;
    const isSecondUnit = isLowSurrogate(a.charCodeAt(at)) &&
      isLowSurrogate(b.charCodeAt(at));
    const from = isSecondUnit ? at - 1 : at;
    return (a.codePointAt(from) ?? 0) - (b.codePointAt(from) ?? 0);
  }
  return a.length - b.length;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

function compareDecimals(a: UserId, b: UserId): number {
  const [one, other] = [String(a), String(b)];
  return one.length - other.length || compareCodePoints(one, other);
}

/**
 * The same text for all ways to write an id, so that a client that does not know the type can
 * compare: 7 and "7" are one user on every server, and so is a UUID in upper and in lower case.
 */
export function idKey(id: UserId): string {
  const text = String(id);
  return UUID.test(text) ? text.toLowerCase() : text;
}

/**
 * A list of ids as in `watch=` and `ids=`: each percent-encoded, with commas between them. An
 * asterisk is encoded too, because `watch=*` is everybody. A comma at the end says that a single
 * id with a comma in it is one id.
 */
export function formatIdList(ids: Iterable<UserId>): string {
  const parts = Array.from(
    ids,
    (id) => encodeURIComponent(String(id)).replaceAll("*", "%2A"),
  );
  const isAmbiguous = parts.length === 1 && parts[0]?.includes("%2C");
  return parts.join(",") + (isAmbiguous ? "," : "");
}

/** Why a list cannot be read: the text in it that is no id. `undefined`: it has too many. */
export interface BadIdList {
  readonly wrong: string | undefined;
}

/**
 * Reads a list of ids from a raw query value, which is not decoded yet. It is refused if one is no
 * id of the type, or there are more than `max`. An empty value is an empty list.
 *
 * A text id may contain a comma, percent-encoded. Where `URLSearchParams` encoded the commas
 * between ids too, the value may be one id or several: it is read as both. With a comma at the end it
 * is one.
 */
export function parseIdList(
  raw: string,
  ids: UserIds,
  max: number,
): ReadonlySet<UserId> | BadIdList {
  if (raw === "") return new Set();
  const parts = raw.split(",", max + 2);
  if (parts.length === 1) return parseWhole(raw, ids, max);
  if (ids.type === "text" && parts.at(-1) === "") parts.pop();
  return parseAll(parts, ids, max, decode);
}

/** A value without a comma that is not encoded. */
function parseWhole(
  raw: string,
  ids: UserIds,
  max: number,
): ReadonlySet<UserId> | BadIdList {
  const text = decode(raw);
  if (text === undefined) return { wrong: raw };
  const list = parseAll(text.split(",", max + 1), ids, max);
  const whole = ids.type === "text" ? ids.parse(text) : undefined;
  if (whole === undefined) return list;
  return new Set([whole, ...("wrong" in list ? [] : list)]);
}

function parseAll(
  parts: readonly string[],
  ids: UserIds,
  max: number,
  read = (part: string): string | undefined => part,
): ReadonlySet<UserId> | BadIdList {
  if (parts.length > max) return { wrong: undefined };
  const found = new Set<UserId>();
  for (const part of parts) {
    const text = read(part);
    const id = ids.parse(text);
    if (id === undefined) return { wrong: text ?? part };
    found.add(id);
  }
  return found;
}

/** `+` is a space in a query, as `URLSearchParams` reads it. */
function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}
