/**
 * User ids of every type, by number: tests say "user 3" and mean its id.
 *
 * @module
 */
import type { UserId, UserIdType } from "../../src/client/protocol/user_id.ts";

/** What a text id may contain that a list, a URL or a log could mistake for its own syntax. */
const AWKWARD = ", 100% |*'\"\\{}+\u{1f600}";

/** The id of the nth user. Ids are in the order of their numbers, up to 99,999,999. */
export function idOf(type: UserIdType, n: number): UserId {
  const digits = String(n).padStart(8, "0");
  if (type === "uuid") return `a0eebc99-9c0b-4ef8-bb6d-6bb9${digits}`;
  if (type === "text") return `user ${digits}${AWKWARD}`;
  return n;
}
