/**
 * The words that travel over the wire: user ids, messages, subprotocols and close codes.
 *
 * This file imports nothing, so that a client library can share it with the server.
 * It does not know how a message reaches a socket or why a connection ends.
 *
 * @module
 */

/** A positive 32-bit integer, the same in tokens, in the database and in messages. */
export type UserId = number;

/** The largest `integer` that Postgres stores. */
export const USER_ID_MAX = 2_147_483_647;

/** Whether a user has at least one connection anywhere in the cluster. */
export type Status = "online" | "offline";

/** The only message of the first protocol version. One JSON object in one text message. */
export interface UserStatusBroadcast {
  readonly type: "user_online" | "user_offline";
  readonly userId: UserId;
}

/** One element of the answer to `GET /users/online`. */
export interface OnlineUserInfo {
  readonly id: UserId;
  readonly username: string;
}

/** The body of `GET /users/online`: ids ascend, and nobody online is `[]`. */
export interface OnlineUsers {
  readonly online_users: readonly OnlineUserInfo[];
}

/** The body of every HTTP error. `code` is for programs, `message` for people. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string };
}

/** Protocol version 1, spoken when a client offers this name or offers nothing. */
export const SUBPROTOCOL_V1 = "rollcall.v1";

/** An offered subprotocol that starts so carries the token, and is never echoed. */
export const BEARER_SUBPROTOCOL_PREFIX = "bearer.";

/** How a connection ends. The code alone tells a client what to do next. */
export interface Close {
  readonly code: number;
  readonly meaning: string;
  readonly reconnect: string;
}

/** Every close code that the server sends, and whether to come back. */
export const CLOSE = {
  goingAway: {
    code: 1001,
    meaning: "server going away",
    reconnect: "yes, jittered",
  },
  policy: {
    code: 1008,
    meaning: "policy: bad token, unknown user",
    reconnect: "no",
  },
  messageTooBig: { code: 1009, meaning: "message too big", reconnect: "no" },
  internal: { code: 1011, meaning: "our fault", reconnect: "yes, backoff" },
  overloaded: {
    code: 1013,
    meaning: "overloaded, or you read too slowly",
    reconnect: "yes, backoff",
  },
  tooManyConnections: {
    code: 4429,
    meaning: "too many connections for this user",
    reconnect: "no",
  },
} as const satisfies Record<string, Close>;

/** Reads a user id from a JSON number or a decimal string; anything else is `undefined`. */
export function parseUserId(value: unknown): UserId | undefined {
  const digits = typeof value === "number" ? String(value) : value;
  if (typeof digits !== "string" || !/^[1-9][0-9]{0,9}$/.test(digits)) {
    return undefined;
  }
  const id = Number(digits);
  return id <= USER_ID_MAX ? id : undefined;
}

/** The text of a version 1 message. */
export function encodeStatus(userId: UserId, status: Status): string {
  const message: UserStatusBroadcast = { type: `user_${status}`, userId };
  return JSON.stringify(message);
}
