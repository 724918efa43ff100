/**
 * Makes rows of users for those whose tokens are good, where that is wanted.
 *
 * What a token says is written once; the same user with the same name costs nothing more. Few
 * are written at a time, and few may wait: presence needs the database more than newcomers do.
 *
 * @module
 */
import {
  PROVISIONED_USERS_MAX,
  PROVISIONS_AT_ONCE_MAX,
  PROVISIONS_WAITING_MAX,
} from "./limits.ts";
import { USERNAME_LENGTH_MAX } from "../base/limits.ts";
import type { UserId } from "../protocol/user_id.ts";
import type { Provisioned } from "../core/store/store.ts";

/** Rejects as the write does, or because too many wait; the next call tries again. */
export type Provision = (
  userId: UserId,
  username: string | undefined,
) => Promise<Provisioned>;

interface Writing {
  readonly username: string | undefined;
  readonly outcome: ReturnType<Provision>;
}

export function coalesced(
  write: Provision,
  usersMax = PROVISIONED_USERS_MAX,
  atOnceMax = PROVISIONS_AT_ONCE_MAX,
  waitingMax = PROVISIONS_WAITING_MAX,
): Provision {
  const written = new Map<UserId, string | undefined>();
  /** What is written for a user, one name after the other. */
  const underWay = new Map<UserId, Writing>();
  const queue: (() => void)[] = [];
  let free = atOnceMax;
  let waiting = 0;

  const writeInTurn: Provision = async (userId, username) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => queue.push(resolve));
    try {
      const outcome = await write(userId, username);
      if (outcome === "there") remember(userId, username);
      return outcome;
    } finally {
      const next = queue.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };

  const remember = (userId: UserId, username: string | undefined) => {
    written.delete(userId);
    written.set(userId, username);
    const oldest = written.keys().next();
    if (written.size > usersMax && !oldest.done) written.delete(oldest.value);
  };

  const begin = (userId: UserId, username: string | undefined) => {
    const outcome = writeInTurn(userId, username)
      .finally(() => underWay.delete(userId));
    underWay.set(userId, { username, outcome });
    return outcome;
  };

  const isWritten = (userId: UserId, username: string | undefined) =>
    written.has(userId) && written.get(userId) === username;

  const provision: Provision = async (userId, username) => {
    while (true) {
      if (isWritten(userId, username)) return "there";
      const writing = underWay.get(userId);
      if (writing === undefined) return await begin(userId, username);
      if (writing.username === username) return await writing.outcome;
      await writing.outcome.catch(() => {});
    }
  };

  return async (userId, name) => {
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
