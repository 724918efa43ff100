/**
 * The messages of both protocol versions, the HTTP bodies, and the subprotocol names.
 *
 * This folder imports nothing from outside it, so that a client library can share it with the server.
 *
 * @module
 */
import type { UserId } from "./user_id.ts";

/** Whether a user has at least one connection anywhere in the cluster. */
export type Status = "online" | "offline";

/** The only message of version 1. One JSON object in one text message. */
export interface UserStatusBroadcast {
  readonly type: "user_online" | "user_offline";
  readonly userId: UserId;
}

/** A user who is online: an element of `GET /users/online`, and of version 2's messages. */
export interface OnlineUserInfo {
  readonly id: UserId;
  readonly username: string;
}

/** Version 2: everybody online, or everybody online among those watched, as of `seq`. */
export interface PresenceState {
  readonly type: "presence_state";
  readonly seq: number;
  readonly users: readonly OnlineUserInfo[];
}

/**
 * Version 2: what changed since the last `seq` that this connection was told. No user is in
 * both lists. Both are empty in the answer to a `since` after which nothing happened.
 */
export interface PresenceDiff {
  readonly type: "presence_diff";
  readonly seq: number;
  readonly online: readonly OnlineUserInfo[];
  readonly offline: readonly UserId[];
}

/** Version 2: how many are online, to those who cannot be told who because they are too many. */
export interface PresenceCount {
  readonly type: "presence_count";
  readonly seq: number;
  readonly online: number;
}

/** Version 2: nothing happened for a while, and what was told holds as of `seq`. */
export interface KeepAlive {
  readonly type: "keepalive";
  readonly seq: number;
}

/** Version 2: what is told from here on, first of all where they stand, is about whom a watch asked for. */
export interface Watching {
  readonly type: "watching";
  /** Of that watch. Those without one are served without this message. */
  readonly ref: number;
}

/** What an error message of version 2 is about. */
export type ErrorCode =
  | "bad_message"
  | "watch_too_large"
  | "overloaded"
  | "too_many_online"
  | "bad_token"
  | "token_expiring";

/** Version 2: something that the client should know of. It does not end the connection. */
export interface ErrorMessage {
  readonly type: "error";
  readonly code: ErrorCode;
  /** For people. */
  readonly message: string;
  /** Of the watch that is refused, if it had one. */
  readonly ref?: number;
}

/** Everything that the server says in version 2. A client passes over types that it does not know. */
export type ServerMessage =
  | PresenceState
  | PresenceDiff
  | PresenceCount
  | KeepAlive
  | Watching
  | ErrorMessage;

/** Version 2: whom to hear about. The answer is a `presence_state`, or an error and no change. */
export interface Watch {
  readonly type: "watch";
  /** `"*"` is everybody, an empty list nobody. */
  readonly userIds: readonly UserId[] | "*";
  /** Any whole number. A `watching`, or the error, repeats it: states come for other reasons too. */
  readonly ref?: number;
}

/** Users in a watch set that any server may take: more would not fit into a client's message. */
export const WATCHED_USERS_MAX = 5_000;

/** Version 2: a later token of the same user. There is an answer only if it is refused. */
export interface Refresh {
  readonly type: "refresh";
  readonly token: string;
}

/** Everything that a client may say in version 2. */
export type ClientMessage = Watch | Refresh;

/** The body of `GET /users/online`: ids ascend, and nobody online is `[]`. */
export interface OnlineUsers {
  readonly online_users: readonly OnlineUserInfo[];
}

/** The body of every HTTP error. `code` is for programs, `message` for people. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string };
}

/** Version 1, one message per transition: spoken when a client offers this name or offers nothing. */
export const SUBPROTOCOL_V1 = "rollcall.v1";

/** Version 2, a state and merged differences: spoken when a client offers this name. */
export const SUBPROTOCOL_V2 = "rollcall.v2";

/** An offered subprotocol that starts so carries the token, and is never echoed. */
export const BEARER_SUBPROTOCOL_PREFIX = "bearer.";

/** The text of a version 1 message. */
export function encodeStatus(userId: UserId, status: Status): string {
  const message: UserStatusBroadcast = { type: `user_${status}`, userId };
  return JSON.stringify(message);
}
