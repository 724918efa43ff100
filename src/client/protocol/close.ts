/**
 * The close codes that the server sends, and whether a client should reconnect after each.
 *
 * The reasons that go with the codes are in `disconnect.ts`.
 *
 * @module
 */

/** A close code. The code alone tells a client what to do next. */
export interface Close {
  readonly code: number;
  readonly meaning: string;
  readonly reconnect:
    | "no"
    | "yes, jittered"
    | "yes, backoff"
    | "yes, with a new token";
}

type CloseName =
  | "goingAway"
  | "protocolError"
  | "invalidText"
  | "policy"
  | "messageTooBig"
  | "internal"
  | "overloaded"
  | "tokenExpired"
  | "tooManyConnections";

/** Every close code that the server sends. 1001 to 1013 are those of RFC 6455 and its registry. */
export const CLOSE: Readonly<Record<CloseName, Close>> = {
  goingAway: {
    code: 1001,
    meaning: "server going away",
    reconnect: "yes, jittered",
  },
  protocolError: {
    code: 1002,
    meaning: "invalid WebSocket frame",
    reconnect: "yes, backoff",
  },
  invalidText: {
    code: 1007,
    meaning: "text is not UTF-8",
    reconnect: "yes, backoff",
  },
  policy: {
    code: 1008,
    meaning: "refused: bad token, unknown user, too many messages",
    reconnect: "no",
  },
  messageTooBig: { code: 1009, meaning: "message too large", reconnect: "no" },
  internal: {
    code: 1011,
    meaning: "internal error",
    reconnect: "yes, backoff",
  },
  overloaded: {
    code: 1013,
    meaning: "overloaded, or slow consumer",
    reconnect: "yes, backoff",
  },
  tokenExpired: {
    code: 4401,
    meaning: "token expired, or is not valid yet",
    reconnect: "yes, with a new token",
  },
  tooManyConnections: {
    code: 4429,
    meaning: "too many connections for this user",
    reconnect: "no",
  },
};

/** A client that leaves for good closes its WebSocket with this: its user is not expected back. */
export const LEAVE: { readonly code: 1000; readonly reason: "leave" } = {
  code: 1000,
  reason: "leave",
};
