/**
 * Every way in which the server closes a WebSocket: one close code and one reason for each.
 *
 * The code tells a client whether to reconnect (see `close.ts`). The reason tells a person what
 * happened, in the same words as the documentation. Nothing else in the server writes a reason.
 *
 * This is not part of `close.ts`, because the client library needs only the codes.
 *
 * @module
 */
import { CLOSE, type Close } from "./close.ts";

/** Bytes of UTF-8 in the reason of a close frame: RFC 6455, section 5.5. */
const REASON_BYTES_MAX = 123;

/** A close code and its reason, as they are sent in a close frame. */
export interface Disconnect {
  readonly code: number;
  /** At most `REASON_BYTES_MAX`. */
  readonly reason: string;
  /** The reason without its details, as in `DISCONNECT`. Left out where there are none. */
  readonly template?: string;
}

/** `<claim>` and `<max>` stand for values that `withDetail` fills in. */
export const DISCONNECT = {
  serverGoingAway: by(CLOSE.goingAway, "server going away"),
  /** The node goes on. It takes no newcomers, and asked the client to take another node. */
  nodeCordoned: by(CLOSE.goingAway, "node is cordoned, reconnect"),
  /** The socket engine closed the socket before. Only a peer that reads again can receive this. */
  peerSilent: by(CLOSE.goingAway, "no answer to a ping"),

  tokenMissing: by(CLOSE.policy, "token is missing"),
  tokenTooLong: by(CLOSE.policy, "token is too long"),
  tokenMalformed: by(CLOSE.policy, "token is malformed"),
  tokenAlgorithmNotAllowed: by(CLOSE.policy, "token algorithm is not allowed"),
  tokenSignatureInvalid: by(CLOSE.policy, "token signature is invalid"),
  tokenKeyUnknown: by(CLOSE.policy, "token signing key is unknown"),
  tokenKeyUnusable: by(CLOSE.policy, "token signing key is unusable"),
  tokenClaimInvalid: by(
    CLOSE.policy,
    "token claim <claim>: expected <what>",
  ),
  tokenRevoked: by(CLOSE.policy, "token was revoked"),

  unknownUser: by(CLOSE.policy, "unknown user"),
  /** With `AUTO_PROVISION`: the `users` table has no such user and accepts no row for it. */
  userNotCreatable: by(CLOSE.policy, "unknown user, cannot be created: <why>"),
  disconnectedByAdministrator: by(
    CLOSE.policy,
    "disconnected by an administrator",
  ),
  tooManyGroups: by(
    CLOSE.policy,
    "the user is in more than <max> groups, or a group id is longer than <max> characters",
  ),
  tooManyMessages: by(CLOSE.policy, "too many messages"),

  /** With the engine `ws`. The close frame has the code, and no reason. */
  invalidFrame: by(CLOSE.protocolError, "invalid WebSocket frame"),
  /** With the engine `ws`, also without a reason. */
  invalidText: by(CLOSE.invalidText, "text is not UTF-8"),
  messageTooLarge: by(
    CLOSE.messageTooBig,
    "message is larger than <max> bytes",
  ),

  sendFailed: by(CLOSE.internal, "send failed"),

  handshakeTimedOut: by(CLOSE.overloaded, "handshake timed out"),
  authenticationTimedOut: by(
    CLOSE.overloaded,
    "authentication timed out, try again",
  ),
  authenticationFailed: by(
    CLOSE.overloaded,
    "authentication failed with an internal error, try again",
  ),
  verificationUnavailable: by(
    CLOSE.overloaded,
    "tokens cannot be verified now, try again",
  ),
  userCreationFailed: by(
    CLOSE.overloaded,
    "users cannot be created now, try again",
  ),
  /** The relation of `GROUPS_TABLE` cannot be read. */
  groupsUnavailable: by(
    CLOSE.overloaded,
    "groups cannot be read now, try again",
  ),
  /** Past the bound of groups that a node keeps. */
  groupLimitReached: by(CLOSE.overloaded, "too many groups on this node"),
  /** Another node sent the client changes that this node has not read and cannot read now. */
  nodeBehindClient: by(
    CLOSE.overloaded,
    "node has not caught up with since, try again",
  ),
  watchLimitReached: by(
    CLOSE.overloaded,
    "too many watched users on this node, or for this user",
  ),
  slowConsumerStopped: by(CLOSE.overloaded, "slow consumer: stopped reading"),
  slowConsumerBehind: by(CLOSE.overloaded, "slow consumer: too far behind"),

  /** On connect, and when it expires while connected. */
  tokenExpired: by(CLOSE.tokenExpired, "token expired"),
  tokenNotValidYet: by(CLOSE.tokenExpired, "token is not valid yet"),

  tooManyConnections: by(
    CLOSE.tooManyConnections,
    "too many connections for this user",
  ),
} satisfies Record<string, Disconnect>;

const FINAL_CODES: ReadonlySet<number> = new Set(
  Object.values(CLOSE).filter(({ reconnect }) =>
    reconnect === "no" || reconnect === "yes, with a new token"
  ).map(({ code }) => code),
);

/**
 * Whether a user who is disconnected so has no claim to be shown online any longer: the client does
 * not come back by itself, or its token expired.
 */
export function isFinal({ code }: Disconnect): boolean {
  return FINAL_CODES.has(code);
}

/**
 * Fills in the placeholders of a reason, such as `<max>`, in their order. A reason that gets too
 * long for a close frame is cut.
 */
export function withDetail(
  { code, reason: template }: Disconnect,
  ...details: readonly (string | number)[]
): Disconnect {
  const rest = [...details];
  const reason = template.replaceAll(/<\w+>/g, () => String(rest.shift()));
  return { code, reason: cut(reason), template };
}

function cut(reason: string): string {
  const bytes = new TextEncoder().encode(reason);
  if (bytes.length <= REASON_BYTES_MAX) return reason;
  const end = "...";
  const kept = bytes.subarray(0, REASON_BYTES_MAX - end.length);
  // With `stream`, the decoder leaves out a character of which only some bytes are there.
  return new TextDecoder().decode(kept, { stream: true }) + end;
}

function by({ code }: Close, reason: string): Disconnect {
  return { code, reason };
}
