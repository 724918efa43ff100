/**
 * User ids: their type, their range, and how one is read from a token or a message.
 *
 * This folder imports nothing from outside it, so that a client library can share it with the server.
 *
 * @module
 */

/** A positive 32-bit integer, the same in tokens, in the database and in messages. */
export type UserId = number;

/** The largest `integer` that Postgres stores. */
export const USER_ID_MAX = 2_147_483_647;

/** Reads a user id from a JSON number or a decimal string; anything else is `undefined`. */
export function parseUserId(value: unknown): UserId | undefined {
  const digits = typeof value === "number" ? String(value) : value;
  if (typeof digits !== "string" || !/^[1-9][0-9]{0,9}$/.test(digits)) {
    return undefined;
  }
  const id = Number(digits);
  return id <= USER_ID_MAX ? id : undefined;
}
