/**
 * The groups of a token: in which groups its user is visible, and when the issuer said so.
 *
 * What is not understood refuses the token. To leave a group out would hide users from each other
 * without a word, and to take another one for it would show users to each other.
 *
 * @module
 */
import type { JWTPayload } from "jose";
import { GROUP_ID_LENGTH_MAX } from "../../base/limits.ts";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../../client/protocol/disconnect.ts";
import { readClaim } from "./claim_path.ts";
import { TOKEN_ISSUED_AHEAD_SECONDS_MAX } from "./limits.ts";
import { expected, refusalOfTime } from "./refusal.ts";
import type { TokenConfig } from "./verifier.ts";

export interface GroupsOfToken {
  /** Sorted, each once. `undefined` if tokens have no groups (`JWT_GROUPS_CLAIM` is not set). */
  readonly groups: readonly string[] | undefined;
  /** When the token was issued, in seconds since 1970. 0 if it does not say. */
  readonly issuedAt: number;
}

const GROUP_IDS = "group ids, each a text that is not empty or a whole number";

/**
 * Reads the groups from the claims of a good token, or returns why the token is refused.
 *
 * @param now Milliseconds since 1970.
 */
export function readGroups(
  claims: JWTPayload,
  { groupsClaim, groupsPerUserMax }: TokenConfig,
  now = Date.now(),
): GroupsOfToken | Disconnect {
  if (groupsClaim === undefined) return { groups: undefined, issuedAt: 0 };
  const badTime = refusalOfTime("iat", claims.iat);
  if (badTime !== undefined) return badTime;
  const issuedAt = Math.max(0, claims.iat ?? 0);
  if (issuedAt > now / 1_000 + TOKEN_ISSUED_AHEAD_SECONDS_MAX) {
    return DISCONNECT.tokenNotValidYet;
  }
  // Some issuers write null for a claim that is not there.
  const value = readClaim(claims, groupsClaim) ?? [];
  const ids = (Array.isArray(value) ? value : [value]).map(toGroupId);
  if (!ids.every((id) => id !== undefined)) {
    return expected(groupsClaim, GROUP_IDS);
  }
  const groups = [...new Set(ids)].sort();
  if (groups.length > groupsPerUserMax || groups.some(isTooLong)) {
    const { tooManyGroups } = DISCONNECT;
    return withDetail(tooManyGroups, groupsPerUserMax, GROUP_ID_LENGTH_MAX);
  }
  return { groups, issuedAt };
}

/**
 * `undefined` if the value is no id of a group. An empty text is none, because some issuers write
 * it for "no group": its users would see each other. A number beyond 2^53 - 1 may have been rounded
 * to the id of another group. Postgres stores neither NUL nor half of a surrogate pair.
 */
function toGroupId(value: unknown): string | undefined {
  if (Number.isSafeInteger(value)) return String(value);
  const isId = typeof value === "string" && value !== "" &&
    value.isWellFormed() && !value.includes("\0");
  return isId ? value : undefined;
}

function isTooLong(id: string): boolean {
  return id.length > GROUP_ID_LENGTH_MAX &&
    [...id].length > GROUP_ID_LENGTH_MAX;
}
