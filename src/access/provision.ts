/**
 * Provisioning writes a user's row from a verified token, if the operator wants that
 * (`AUTO_PROVISION`).
 *
 * A user with the same name is written once; after that a reconnect costs no write. The application
 * may delete a row that was written, and nothing says so. When a user turns out to be unknown, the
 * row is written once more (`rewrite`).
 *
 * Few users are written at the same time, and a bounded number of calls wait, because presence
 * needs the database more than new users do. How a row is written is not known here.
 *
 * @module
 */
import { deleteOldest } from "../base/delete_oldest.ts";
import { USERNAME_LENGTH_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import type { Provisioned } from "../core/store/store.ts";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../client/protocol/disconnect.ts";
import type { UserId } from "../client/protocol/user_id.ts";
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

export interface Provisioning {
  /** Costs nothing for a user who was written before with the same name. */
  readonly provision: Provision;
  /**
   * Writes the row of a user once more, under the name that it was written with before. `undefined`:
   * it was not written before, or that is forgotten. Rejects as `Provision` does.
   */
  readonly rewrite: (userId: UserId) => Promise<Provisioned | undefined>;
}

const THERE: Provisioned = { outcome: "there" };

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
): Provisioning {
  const written = new Map<UserId, string | undefined>();
  /** Invariant: one write at a time for each user, so that the last name is the one that stays. */
  const inFlight = new Map<UserId, Write>();
  const writeInTurn = limited(write, atOnceMax);
  let waiting = 0;

  const writeAndKeep: Provision = async (userId, username) => {
    const provisioned = await writeInTurn(userId, username);
    if (provisioned.outcome === "there") {
      written.delete(userId);
      written.set(userId, username);
      deleteOldest(written, usersMax);
    }
    return provisioned;
  };

  const start: Provision = (userId, username) => {
    const outcome = writeAndKeep(userId, username)
      .finally(() => inFlight.delete(userId));
    inFlight.set(userId, { username, outcome });
    return outcome;
  };

  const isWritten = (userId: UserId, username: string | undefined) =>
    written.has(userId) && written.get(userId) === username;

  const writeOnce: Provision = async (userId, username) => {
    while (true) {
      if (isWritten(userId, username)) return THERE;
      const current = inFlight.get(userId);
      if (current === undefined) return await start(userId, username);
      if (current.username === username) return await current.outcome;
      // Another name of the same user. It succeeds or fails for its own caller.
      await current.outcome.catch(() => {});
    }
  };

  const waitFor: Provision = async (userId, username) => {
    if (waiting >= waitingMax) throw new Error("too many users are waiting");
    waiting += 1;
    try {
      return await writeOnce(userId, username);
    } finally {
      waiting -= 1;
    }
  };

  return {
    provision: async (userId, name) => {
      const username = storable(name);
      if (isWritten(userId, username)) return THERE;
      return await waitFor(userId, username);
    },
    rewrite: async (userId) => {
      const current = inFlight.get(userId);
      if (current !== undefined) return await current.outcome;
      if (!written.has(userId)) return undefined;
      const username = written.get(userId);
      written.delete(userId);
      return await waitFor(userId, username);
    },
  };
}

/** The same `write`, but at most `atOnceMax` run at the same time. The others wait in their order. */
function limited(write: Provision, atOnceMax: number): Provision {
  const queue: (() => void)[] = [];
  let free = atOnceMax;
  return async (userId, username) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => queue.push(resolve));
    try {
      return await write(userId, username);
    } finally {
      const next = queue.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}

/**
 * The part of a name that is stored: whole characters, at most `USERNAME_LENGTH_MAX`, without NUL,
 * which Postgres cannot store. Half of a surrogate pair becomes U+FFFD, because no JSON with it can
 * be read by everybody.
 */
function storable(name: string | undefined): string | undefined {
  const characters = Array.from(
    name?.replaceAll("\0", "").toWellFormed() ?? "",
  );
  const text = characters.slice(0, USERNAME_LENGTH_MAX).join("");
  return text.trim() === "" ? undefined : text;
}

/**
 * Writes a user by `write`. Resolves with `"written"`, or with how the user's sockets are closed.
 * Never rejects.
 */
export async function disconnectUnlessWritten(
  userId: UserId,
  write: () => Promise<Provisioned | undefined>,
  log: Log,
): Promise<"written" | Disconnect> {
  try {
    const provisioned = await write();
    if (provisioned === undefined) return DISCONNECT.unknownUser;
    return provisioned.outcome === "refused"
      ? withDetail(DISCONNECT.userNotCreatable, provisioned.why)
      : "written";
  } catch (err) {
    log.warn({ userId, reason: messageOf(err) }, "cannot write a user");
    return DISCONNECT.userCreationFailed;
  }
}
