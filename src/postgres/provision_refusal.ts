/**
 * Why the users table refuses a new user, in words for that user's client.
 *
 * The message of the database names tables, columns and values, which are not for clients: it goes
 * to the log. A refusal is sent in a close frame, so each text is short.
 *
 * @module
 */

/** Texts for single SQLSTATEs, and for whole classes of them. */
const REFUSALS: Readonly<Record<string, string>> = {
  "22": "a value, such as the name, does not fit the users table",
  "23": "a constraint of the users table does not hold",
  "23502": "a column of the users table needs a value",
  "23505": "a unique value, such as the name, is taken",
  "428C9": "ids of the users table are generated",
  "42501": "this server may not insert into the users table",
  // Raised by the function `provision` itself.
  "RC002": "the users table keeps no row with this id",
};

/** @param code The SQLSTATE of the error. */
export function describeRefusal(code: string | null): string {
  return REFUSALS[code ?? ""] ?? REFUSALS[code?.slice(0, 2) ?? ""] ??
    "the users table accepts no new row";
}
