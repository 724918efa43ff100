/**
 * A list of user ids in a query, as `?ids=` and `?watch=` have it.
 *
 * What an id is and how a list is written is `protocol/user_id.ts`'s to say.
 *
 * @module
 */
import { excerpt } from "../base/cut_text.ts";
import {
  parseIdList,
  type UserId,
  type UserIds,
} from "../client/protocol/user_id.ts";

/**
 * Reads the raw value of the parameter.
 *
 * @returns The ids, or the message of the error.
 */
export function readIdList(
  parameter: string,
  raw: string,
  ids: UserIds,
  max: number,
): ReadonlySet<UserId> | string {
  const list = parseIdList(raw, ids, max);
  if (!("wrong" in list)) return list;
  return list.wrong === undefined
    ? `${parameter}: expected at most ${max} user ids, separated by commas`
    : `${parameter}: expected ${ids.expected}, got ${excerpt(list.wrong)}`;
}
