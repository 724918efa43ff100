/**
 * Makes rows of users for those whose tokens are good, where that is wanted.
 *
 * What a token says is written once; the same user with the same name costs nothing more. Few
 * are written at a time, and each user once: presence needs the database more than newcomers do.
 *
 * @module
 */
import {
  PROVISIONED_USERS_MAX,
  PROVISIONS_AT_ONCE_MAX,
  USERNAME_LENGTH_MAX,
} from "./limits.ts";
import type { UserId } from "./protocol.ts";
import type { Provisioned } from "./store/store.ts";

/** Rejects as the write does; then nothing is known, and the next call writes again. */
export type Provision = (
  userId: UserId,
  username: string | undefined,
) => Promise<Provisioned>;

export function provisioningOnce(
  write: Provision,
  usersMax = PROVISIONED_USERS_MAX,
  atOnceMax = PROVISIONS_AT_ONCE_MAX,
): Provision {
  const written = new Map<UserId, string | undefined>();
  /** By user and name. Whoever waits has a socket, so there are no more of them. */
  const underWay = new Map<string, ReturnType<Provision>>();
  const waiting: (() => void)[] = [];
  let free = atOnceMax;

  const writeInTurn: Provision = async (userId, username) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await write(userId, username);
    } finally {
      const next = waiting.shift();
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

  return async (userId, name) => {
    const username = name?.replaceAll("\0", "").slice(0, USERNAME_LENGTH_MAX);
    if (written.has(userId) && written.get(userId) === username) return "there";
    const key = JSON.stringify([userId, username]);
    const writing = underWay.get(key) ??
      writeInTurn(userId, username).finally(() => underWay.delete(key));
    underWay.set(key, writing);
    const outcome = await writing;
    if (outcome === "there") remember(userId, username);
    return outcome;
  };
}
