/**
 * Where the groups of users come from: what the operator says about it, and what is read.
 *
 * `find_groups.ts` finds and checks the application's table. The functions in
 * `migrations/functions/groups.sql` get the names as placeholders.
 *
 * @module
 */
import type { UserIdType } from "../client/protocol/user_id.ts";
import { GROUP_ID_LENGTH_MAX } from "../base/limits.ts";

/** What the operator set. */
export interface GroupsConfig {
  readonly source:
    /** `GROUPS_TABLE`: as in SQL, found by the role's search path. */
    | { readonly kind: "table"; readonly name: string }
    /** `JWT_GROUPS_CLAIM`: the groups are in the users' tokens. */
    | { readonly kind: "claim"; readonly name: string };
  /** `MAX_GROUPS_PER_USER` */
  readonly perUserMax: number;
}

/** What is read. */
export interface Groups extends GroupsConfig {
  /** With its schema, quoted. */
  readonly table: string;
  readonly userIdType: string;
  readonly groupIdType: string;
}

/** The groups of tokens, in the form of a table. */
export const TOKEN_MEMBERSHIPS = "rollcall_internal.token_memberships";

/** The values of the placeholders in `migrations/` that are about groups. */
export function groupsPlaceholders(
  groups: Groups | undefined,
  idType: UserIdType,
): Record<string, string> {
  const perUserMax = groups?.perUserMax ?? 0;
  return {
    HAS_GROUPS: String(groups !== undefined),
    GROUPS: groups?.table ?? TOKEN_MEMBERSHIPS,
    GROUPS_MAX: String(perUserMax),
    GROUPS_CUT: String(perUserMax + 1),
    GROUP_ID_MAX: String(GROUP_ID_LENGTH_MAX),
    GROUP_ID_CUT: String(GROUP_ID_LENGTH_MAX + 1),
    ...namedIds(idType),
  };
}

/**
 * The ids that `rollcall.groups_changed` takes. `array[7, 8]` is one of integers, and Postgres finds a
 * function for bigints then, but none for smallints.
 */
function namedIds(idType: UserIdType): Record<string, string> {
  if (idType === "smallint" || idType === "integer") {
    const [min, max] = idType === "smallint"
      ? [-32_768, 32_767]
      : [-2_147_483_648, 2_147_483_647];
    return { NAMED_TYPE: "bigint", IS_ID: `i.id between ${min} and ${max}` };
  }
  return { NAMED_TYPE: idType, IS_ID: "i.id is not null" };
}

/** For the start log: where the groups come from, and what they limit. */
export function describeGroups(groups: Groups | undefined): string {
  if (groups === undefined) {
    return "groups: none are configured, everybody sees everybody";
  }
  const { source, table, userIdType, groupIdType } = groups;
  const from = source.kind === "claim"
    ? `the token claim ${source.name}`
    : `${table}(user_id ${userIdType}, group_id ${groupIdType})`;
  return `groups: ${from}, a user sees who shares a group with it`;
}
