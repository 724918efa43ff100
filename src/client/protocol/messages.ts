/**
 * The messages of both protocol versions, the HTTP bodies, and the subprotocol names.
 *
 * This is the door of `protocol/`: what clients and servers have to agree on. The folder imports
 * nothing from outside it, so that the client library and the server share it. The parts:
 *
 * - `messages.ts`, this file: the shape of every message. Each is one JSON object in one text
 *   frame. `seq` is a position in the feed.
 * - `user_id.ts`: what a user id is.
 * - `close.ts`: the close codes, and whether a client reconnects after each.
 * - `disconnect.ts`: the reasons that go with them. Only the server needs it.
 *
 * Version 1 has one message for each transition. Version 2 has a snapshot and then merged diffs;
 * its clients may also watch some users, resume, and refresh their token.
 *
 * Clients of any age meet servers of any age, so a message and its fields never change. New ones
 * may be added: a client ignores types and fields that it does not know.
 *
 * @module
 */
import type { UserId } from "./user_id.ts";

/** Whether a user has at least one connection to any node. */
export type Status = "online" | "offline";

/** The only message of version 1. */
export interface UserStatusBroadcast {
  readonly type: "user_online" | "user_offline";
  readonly userId: UserId;
}

/** An online user: an element of `GET /users/online`, and of the messages of version 2. */
export interface OnlineUserInfo {
  readonly id: UserId;
  readonly username: string;
}

/** Version 2: a snapshot of the online users as of `seq`; of the watched ones if there is a watch set. */
export interface PresenceState {
  readonly type: "presence_state";
  readonly seq: number;
  readonly users: readonly OnlineUserInfo[];
}

/**
 * Version 2: the changes after the last `seq` that this connection received, up to this one. No
 * user is in both lists. If nothing changed after the client's `since`, both lists are empty.
 */
export interface PresenceDiff {
  readonly type: "presence_diff";
  readonly seq: number;
  readonly online: readonly OnlineUserInfo[];
  readonly offline: readonly UserId[];
}

/** Version 2: how many users are online, instead of their names, because they are too many. */
export interface PresenceCount {
  readonly type: "presence_count";
  readonly seq: number;
  readonly online: number;
}

/** Version 2: sent after a silence, and for a ping. Nothing changed for this connection up to `seq`. */
export interface KeepAlive {
  readonly type: "keepalive";
  readonly seq: number;
}

/** Version 2: accepts a watch. The messages after it are for that watch set, a snapshot or count first. */
export interface Watching {
  readonly type: "watching";
  /** The `ref` of that watch. A watch without a `ref` gets no such message. */
  readonly ref: number;
}

/** The reason for an error message of version 2. */
export type ErrorCode =
  | "bad_message"
  | "watch_too_large"
  | "overloaded"
  | "too_many_online"
  | "bad_token"
  | "token_expiring";

/** Version 2: an error or a warning. The connection stays open. */
export interface ErrorMessage {
  readonly type: "error";
  readonly code: ErrorCode;
  /** For people; its words may change. */
  readonly message: string;
  /** The `ref` of the watch that is refused, if the watch had one. */
  readonly ref?: number;
}

/** Every message from the server in version 2. A client ignores types that it does not know. */
export type ServerMessage =
  | PresenceState
  | PresenceDiff
  | PresenceCount
  | KeepAlive
  | Watching
  | ErrorMessage;

/** Version 2: sets the watch set. The answer is a `presence_state`, or an error and no change. */
export interface Watch {
  readonly type: "watch";
  /** `"*"` is all users, an empty list none. */
  readonly userIds: readonly UserId[] | "*";
  /**
   * Any whole number. The answer, `watching` or an error, repeats it. A client needs it to know
   * which watch is answered: the server also sends a `presence_state` for other reasons.
   */
  readonly ref?: number;
}

/** The most user ids in a watch set, on any server: more would not fit into a client's message. */
export const WATCHED_USERS_MAX = 5_000;

/** Version 2: a new token for the same user. The server answers only if it refuses the token. */
export interface Refresh {
  readonly type: "refresh";
  readonly token: string;
}

/**
 * Version 2: asks for a message at once. The answer is a keepalive, or the message that is due. A
 * browser cannot send the pings of WebSocket itself.
 */
export interface Ping {
  readonly type: "ping";
}

/** Every message from a client in version 2. */
export type ClientMessage = Watch | Refresh | Ping;

/** The body of `GET /users/online`. Ids ascend; the list is empty if nobody is online. */
export interface OnlineUsers {
  readonly online_users: readonly OnlineUserInfo[];
}

/** The body of every HTTP error. `code` is for programs, `message` for people. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string };
}

/** Version 1: one message per transition. Chosen if a client offers this name, or none. */
export const SUBPROTOCOL_V1 = "rollcall.v1";

/** Version 2: a snapshot and merged diffs. Chosen if a client offers this name. */
export const SUBPROTOCOL_V2 = "rollcall.v2";

/** An offered subprotocol with this prefix carries the token. The server never selects it. */
export const BEARER_SUBPROTOCOL_PREFIX = "bearer.";

/** Returns the JSON of a version 1 message. */
export function encodeStatus(userId: UserId, status: Status): string {
  const message: UserStatusBroadcast = { type: `user_${status}`, userId };
  return JSON.stringify(message);
}

/** Returns the JSON of a version 2 message. */
export function encodeMessage(message: ServerMessage): string {
  return JSON.stringify(message);
}

/**
 * Returns the JSON of an error.
 *
 * @param ref Of the `watch` that is refused, if it had one.
 */
export function encodeError(
  code: ErrorCode,
  message: string,
  ref?: number,
): string {
  const about = ref === undefined ? {} : { ref };
  return encodeMessage({ type: "error", code, message, ...about });
}
