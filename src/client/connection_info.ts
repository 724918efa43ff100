/**
 * What the client reports about its connection, and the same under its former names.
 *
 * @module
 */

/** The state of a client's connection, and why the connection before it ended. */
export interface ConnectionInfo {
  /**
   * - `connecting`: waits for a token, for the socket to open, or for the first snapshot.
   * - `connected`: `users` is current, and every change arrives.
   * - `reconnecting`: the connection ended; the next attempt starts in `retryMs` milliseconds.
   * - `offline`: the browser says that it has no network; the next attempt starts in `retryMs`
   *   milliseconds. Or it froze the page; the client connects when the page goes on.
   * - `closed`: final. The application closed the client, or the server refused it with a close
   *   code after which a client must not reconnect: see `code` and `reason`.
   */
  readonly state:
    | "connecting"
    | "connected"
    | "reconnecting"
    | "offline"
    | "closed";
  /**
   * Why the last connection ended: a close code of `protocol/close.ts`, 1000 if the application
   * closed the client, 1006 if there was no close code. Absent if the client ended the
   * connection itself, because of a timeout or an error.
   */
  readonly code?: number;
  /** The same in words. */
  readonly reason?: string;
  /** The delay before the next attempt, in milliseconds. In the states `reconnecting` and `offline`. */
  readonly retryMs?: number;
}

/**
 * {@linkcode ConnectionInfo} as the `status` event and property report it: with the state
 * `waiting` instead of `reconnecting`, and `paused` instead of `offline`.
 *
 * @deprecated Use the `connection` event and property.
 */
export interface ConnectionStatus extends Omit<ConnectionInfo, "state"> {
  /** The states of {@linkcode ConnectionInfo}, two of them with their former names. */
  readonly state: "connecting" | "connected" | "waiting" | "paused" | "closed";
}

/**
 * Applications that were written for `status` compare its state with `waiting` and `paused`. A
 * page gets the library from the server, so an upgrade of the server must not change these words.
 */
export function toStatus(info: ConnectionInfo): ConnectionStatus {
  const { state } = info;
  if (state === "reconnecting") return { ...info, state: "waiting" };
  if (state === "offline") return { ...info, state: "paused" };
  return { ...info, state };
}
