/**
 * A store with groups, whose users are called by their numbers.
 *
 * @module
 */
import type { NodeId, Store, Transition } from "../../src/core/store/store.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { numbered } from "./numbered.ts";
import type { Subject } from "./store_contract.ts";

/** Whether the application tells that it changed groups. */
export type Naming = "named" | "silent";

/** A subject whose application has memberships. At first nobody is in a group. */
export interface GroupsSubject extends Subject {
  /** The application puts a user into these groups and no others, and commits. */
  setGroups(
    userId: UserId,
    groups: readonly string[],
    naming: Naming,
  ): Promise<void>;
  /** The same, named, in a transaction that the returned function ends. */
  beginGroups(
    userId: UserId,
    groups: readonly string[],
  ): Promise<(end: "commit" | "rollback") => Promise<void>>;
  /** The application names users in one call, also ids of nobody, and commits. */
  nameUsers(ids: readonly UserId[]): Promise<void>;
  /** Locks the memberships, so that nothing reads them, until the returned function is called. */
  lockGroups(): Promise<() => Promise<void>>;
  /** Locks the end of the feed, so that a write waits before its commit, until the returned function is called. */
  lockFeed(): Promise<() => Promise<void>>;
  /** Configures groups, or takes the configuration away. Returns a store that works with it. */
  switchGroups(to: "on" | "off"): Promise<Store>;
}

/** What `grouped` makes of a subject. */
export type Grouped = ReturnType<typeof grouped>;

export type GroupsTest = (
  title: string,
  run: (store: Grouped) => Promise<void>,
) => void;

export const NODES = [
  "00000000-0000-4000-8000-000000000001",
  "00000000-0000-4000-8000-000000000002",
  "00000000-0000-4000-8000-000000000003",
] as const;
export const LEASE_MS = 60_000;
/** Calls of `regroup`, of which none compares so few users that it needs more. */
const ROUNDS_MAX = 1_000;

/** As "(a,b)". `-`: left out. */
function brief(groups: readonly string[] | undefined): string {
  return groups === undefined ? "-" : `(${groups.join(",")})`;
}

/** Transitions are "seq user status before after". */
// deno-lint-ignore explicit-module-boundary-types -- its type is made from it
export function grouped(subject: GroupsSubject, idOf: (n: number) => UserId) {
  let { store } = subject;
  const users = numbered(subject, idOf);
  const numberOf = (id: UserId) =>
    Array.from({ length: 9 }, (_, index) => index + 1)
      .find((n) => idOf(n) === id);
  const numbersOf = (ids: readonly UserId[]) => ids.map(numberOf).sort();
  const idsOf = (ns: readonly number[]) => ns.map(idOf);
  const briefs = (transitions: readonly Transition[]) =>
    transitions.map(({ seq, userId, status, groupsBefore, groups }) =>
      [seq, numberOf(userId), status, brief(groupsBefore), brief(groups)]
        .join(" ")
    );
  const regroup = async (nodeId: NodeId) => {
    const { transitions, isMore } = await store.regroup(nodeId);
    return { transitions: briefs(transitions), isMore };
  };
  return {
    ...{ claims: users.claims, expire: users.expire, waiting: users.waiting },
    ...{ deleteUser: users.deleteUser, lockPresence: users.lockPresence },
    ...{ lockGroups: subject.lockGroups, lockFeed: subject.lockFeed },
    leave: (...args: Parameters<Store["leave"]>) => store.leave(...args),
    subscribe: (...args: Parameters<Store["subscribe"]>) =>
      store.subscribe(...args),
    join: async (...args: Parameters<Store["join"]>) =>
      briefs(await store.join(...args)),
    sweep: async (...args: Parameters<Store["sweep"]>) =>
      briefs(await store.sweep(...args)),
    apply: async (
      nodeId: NodeId,
      arriving: readonly number[],
      leaving: readonly number[] = [],
    ) => {
      const applied = await store.apply(
        ...[nodeId, idsOf(arriving), idsOf(leaving)] as const,
      );
      return {
        transitions: briefs(applied.transitions),
        ungrouped: numbersOf(applied.ungrouped),
        overgrouped: numbersOf(applied.overgrouped),
      };
    },
    /** Regroups once. */
    regroupOnce: regroup,
    /** Regroups until there is no more to compare. */
    regroup: async (nodeId: NodeId) => {
      const transitions: string[] = [];
      for (let rounds = 1;; rounds++) {
        const regrouped = await regroup(nodeId);
        transitions.push(...regrouped.transitions);
        if (!regrouped.isMore) return { transitions, rounds };
        if (rounds === ROUNDS_MAX) throw new Error("There is always more");
      }
    },
    /** The feed from the beginning, without the seqs. */
    feed: async () => {
      const { transitions } = await store.readFeed(0, 1_000);
      return briefs(transitions).map((row) => row.replace(/^\d+ /, ""));
    },
    /** Who is online, as "user groups". */
    snapshot: async () => {
      const { users } = await store.snapshot();
      return users.map(({ id, groups }) => `${numberOf(id)} ${brief(groups)}`)
        .sort();
    },
    setGroups: (
      n: number,
      groups: readonly string[],
      naming: Naming = "silent",
    ) => subject.setGroups(idOf(n), groups, naming),
    beginGroups: (n: number, groups: readonly string[]) =>
      subject.beginGroups(idOf(n), groups),
    nameUsers: (ns: readonly number[]) => subject.nameUsers(idsOf(ns)),
    switchGroups: async (to: "on" | "off") => {
      store = await subject.switchGroups(to);
    },
  };
}
