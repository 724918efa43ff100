/**
 * Provisioning writes a user's row from a verified token, if the operator wants that
 * (`AUTO_PROVISION`).
 *
 * A user with the same name is written once; after that a reconnect costs no write. Few users are
 * written at the same time, and a bounded number of calls wait, because presence needs the
 * database more than new users do. How a row is written is not known here.
 *
 * @module
 */
import { deleteOldest } from "../base/delete_oldest.ts";
import { USERNAME_LENGTH_MAX } from "../base/limits.ts";
import type { Provisioned } from "../core/store/store.ts";
import type { UserId } from "../protocol/user_id.ts";
import {
  PROVISIONED_USERS_MAX,
  PROVISIONS_AT_ONCE_MAX,
  PROVISIONS_WAITING_MAX,
} from "./limits.ts";

/**
 * Writes a user's row. Rejects if the write fails or too many calls wait; the next call tries
 * again.
 */
export type Provision = (
  userId: UserId,
  username: string | undefined,
) => Promise<Provisioned>;

interface Write {
  readonly username: string | undefined;
  readonly outcome: ReturnType<Provision>;
}

/**
 * The same `write`, but calls for one user and name share one write, and what was written is not
 * written again.
 *
 * @param usersMax Written users that are remembered. Past it the oldest are forgotten.
 * @param atOnceMax Writes at the same time.
 * @param waitingMax Calls that wait, for a write of their own or of others. Past it calls reject.
 */
export function coalesced(
  write: Provision,
  usersMax = PROVISIONED_USERS_MAX,
  atOnceMax = PROVISIONS_AT_ONCE_MAX,
  waitingMax = PROVISIONS_WAITING_MAX,
): Provision {
  const written = new Map<UserId, string | undefined>();
  /** Invariant: one write at a time for each user, so that the last name is the one that stays. */
  const inFlight = new Map<UserId, Write>();
  const queue: (() => void)[] = [];
  let free = atOnceMax;
  let waiting = 0;

  const writeInTurn: Provision = async (userId, username) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => queue.push(resolve));
    try {
      const outcome = await write(userId, username);
      if (outcome === "there") {
        written.delete(userId);
        written.set(userId, username);
        deleteOldest(written, usersMax);
      }
      return outcome;
    } finally {
      const next = queue.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };

  const start: Provision = (userId, username) => {
    const outcome = writeInTurn(userId, username)
      .finally(() => inFlight.delete(userId));
    inFlight.set(userId, { username, outcome });
    return outcome;
  };

  const isWritten = (userId: UserId, username: string | undefined) =>
    written.has(userId) && written.get(userId) === username;

  const provision: Provision = async (userId, username) => {
    while (true) {
      if (isWritten(userId, username)) return "there";
      const current = inFlight.get(userId);
      if (current === undefined) return await start(userId, username);
      if (current.username === username) return await current.outcome;
      // Another name of the same user. It succeeds or fails for its own caller.
      await current.outcome.catch(() => {});
    }
  };

  return async (userId, name) => {
    // Postgres stores no NUL character.
    const username = name?.replaceAll("\0", "").slice(0, USERNAME_LENGTH_MAX);
    if (isWritten(userId, username)) return "there";
    if (waiting >= waitingMax) throw new Error("too many users are waiting");
    waiting += 1;
    try {
      return await provision(userId, username);
    } finally {
      waiting -= 1;
    }
  };
}
