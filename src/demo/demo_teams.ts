/**
 * The teams of the demo: who is in which, in a table as an application has one.
 *
 * Only demo mode with `DEMO_TEAMS=true` has them. The server reads the table as it reads any other
 * in `GROUPS_TABLE`.
 *
 * @module
 */
import {
  type UserId,
  type UserIds,
  userIds,
  type UserIdType,
} from "../client/protocol/user_id.ts";
import { DEMO_TEAMS_TABLE } from "../config/config.ts";
import { demoUserId, runStatement } from "./demo_users.ts";

export const TEAMS = ["blue", "orange"] as const;

export type Team = typeof TEAMS[number];

/** Of the demo's users, in their order. */
const TEAMS_AT_START: readonly (readonly Team[])[] = [
  ["blue"],
  ["blue"],
  ["blue", "orange"],
  ["orange"],
  ["orange"],
  [],
];

/** What the demo does with the table. Each call rejects as the database does. */
export interface DemoTeams {
  /** The teams of each of these users. */
  read(userIds: readonly UserId[]): Promise<readonly (readonly Team[])[]>;
  /** Puts a user into these teams, and takes it out of all others. It takes effect at once. */
  move(userId: UserId, teams: readonly Team[]): Promise<void>;
  /** Puts each of these users into one of the teams. */
  spread(userIds: readonly UserId[]): Promise<void>;
}

/** Makes the table if it is missing, and puts the demo's users where they are at the start. */
export async function makeTeams(
  url: string | undefined,
  type: UserIdType,
): Promise<void> {
  await runStatement(
    url,
    `create table if not exists ${DEMO_TEAMS_TABLE} (
       user_id ${type}, group_id text, primary key (user_id, group_id)
     )`,
  );
  await runStatement(url, `delete from ${DEMO_TEAMS_TABLE}`);
  const ids = userIds(type);
  const rows = TEAMS_AT_START.flatMap((teams, index) =>
    teams.map((team) => [demoUserId(ids, index + 1), team] as const)
  );
  await insert(url, type, rows);
}

export function demoTeams(url: string | undefined, ids: UserIds): DemoTeams {
  const { type } = ids;
  return {
    read: async (userIds) => {
      const { rows } = await runStatement(
        url,
        `select array(
                  select t.group_id from ${DEMO_TEAMS_TABLE} t where t.user_id = given.id order by 1
                ) as teams
           from unnest($1::${type}[]) with ordinality as given (id, nth)
          order by given.nth`,
        [userIds.map(String)],
      );
      return rows.map(({ teams }) => teams);
    },
    // One statement, and so one transaction: the change, and the call that makes it immediate.
    move: async (userId, teams) => {
      await runStatement(
        url,
        `with gone as (
           delete from ${DEMO_TEAMS_TABLE}
            where user_id = $1::${type} and group_id <> all ($2::text[])
         ), come as (
           insert into ${DEMO_TEAMS_TABLE} (user_id, group_id)
           select $1::${type}, unnest($2::text[])
               on conflict do nothing
         )
         select rollcall.groups_changed(array[$1::${type}])`,
        [String(userId), teams],
      );
    },
    spread: async (userIds) =>
      await insert(
        url,
        type,
        userIds.map((id, index) => [id, TEAMS[index % TEAMS.length] ?? ""]),
      ),
  };
}

/** Adds rows of a user and a team. Those that are there stay. */
async function insert(
  url: string | undefined,
  type: UserIdType,
  rows: readonly (readonly [UserId, string])[],
): Promise<void> {
  await runStatement(
    url,
    `insert into ${DEMO_TEAMS_TABLE} (user_id, group_id)
     select * from unnest($1::${type}[], $2::text[])
         on conflict do nothing`,
    [rows.map(([id]) => String(id)), rows.map(([, team]) => team)],
  );
}
