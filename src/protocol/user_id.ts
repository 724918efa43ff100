/**
 * User ids: their type, their range, and how one is parsed.
 *
 * This folder imports nothing from outside it, so that the client library and the server share it.
 *
 * @module
 */

/** A positive 32-bit integer, the same in tokens, in the database and in messages. */
export type UserId = number;

/** The largest `integer` of Postgres. */
export const USER_ID_MAX = 2_147_483_647;

/** Parses a JSON number or a decimal string. Returns `undefined` for every other value. */
export function parseUserId(value: unknown): UserId | undefined {
  const digits = typeof value === "number" ? String(value) : value;
  if (typeof digits !== "string" || !/^[1-9][0-9]{0,9}$/.test(digits)) {
    return undefined;
  }
  const id = Number(digits);
  return id <= USER_ID_MAX ? id : undefined;
}
