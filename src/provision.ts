/**
 * Makes rows of users for those whose tokens are good, where that is wanted.
 *
 * What a token says is written once; the same user with the same name costs nothing more.
 *
 * @module
 */
import { PROVISIONED_USERS_MAX, USERNAME_LENGTH_MAX } from "./limits.ts";
import type { UserId } from "./protocol.ts";

/** Rejects as the write does; then nothing is known, and the next call writes again. */
export type Provision = (
  userId: UserId,
  username: string | undefined,
) => Promise<void>;

export function provisioningOnce(
  write: Provision,
  usersMax = PROVISIONED_USERS_MAX,
): Provision {
  const written = new Map<UserId, string | undefined>();
  return async (userId, name) => {
    const username = name?.replaceAll("\0", "").slice(0, USERNAME_LENGTH_MAX);
    if (written.has(userId) && written.get(userId) === username) return;
    await write(userId, username);
    written.delete(userId);
    written.set(userId, username);
    const oldest = written.keys().next();
    if (written.size > usersMax && !oldest.done) written.delete(oldest.value);
  };
}
