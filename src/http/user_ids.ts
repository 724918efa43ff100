/**
 * User ids in a query.
 *
 * @module
 */
import { parseUserId, type UserId } from "../protocol/user_id.ts";

/** Ids with commas between them; `undefined` for anything else and for too many. */
export function readUserIds(
  list: string,
  max: number,
): ReadonlySet<UserId> | undefined {
  const names = list === "" ? [] : list.split(",", max + 1);
  if (names.length > max) return undefined;
  const userIds = names.map(parseUserId);
  return userIds.every((userId) => userId !== undefined)
    ? new Set(userIds)
    : undefined;
}
