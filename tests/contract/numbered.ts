/**
 * A store whose users are called by their numbers, so that one contract is read for ids of any type.
 *
 * @module
 */
import type { NodeId, Store, Transition } from "../../src/core/store/store.ts";
import type { Status } from "../../src/client/protocol/messages.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { pause } from "../support/until.ts";
import type { Subject } from "./store_contract.ts";

/** Users that a contract names. */
const USERS_MAX = 99;

/** What `numbered` makes of a subject. Transitions are "seq user status". */
export type Numbered = ReturnType<typeof numbered>;

// deno-lint-ignore explicit-module-boundary-types -- its type is made from it
export function numbered(subject: Subject, idOf: (n: number) => UserId) {
  const { store } = subject;
  const numbers = new Map<UserId, number>();
  for (let n = 1; n <= USERS_MAX; n++) numbers.set(idOf(n), n);
  const numberOf = (id: UserId) => {
    const n = numbers.get(id);
    if (n === undefined) throw new Error(`The store made the user id ${id} up`);
    return n;
  };
  const numbersOf = (ids: readonly UserId[]) =>
    ids.map(numberOf).sort((a, b) => a - b);
  const idsOf = (ns: readonly number[]) => ns.map(idOf);
  const brief = (transitions: readonly Transition[]) =>
    transitions.map(({ seq, userId, status }) =>
      `${seq} ${numberOf(userId)} ${status}`
    );
  return {
    ...outside(subject, idOf, numberOf),
    join: async (...args: Parameters<Store["join"]>) =>
      brief(await store.join(...args)),
    sweep: async (...args: Parameters<Store["sweep"]>) =>
      brief(await store.sweep(...args)),
    apply: async (
      nodeId: NodeId,
      arriving: readonly number[],
      leaving: readonly number[],
    ) => {
      const applied = await store.apply(
        nodeId,
        idsOf(arriving),
        idsOf(leaving),
      );
      return {
        transitions: brief(applied.transitions),
        unknown: numbersOf(applied.unknown),
        deferred: numbersOf(applied.deferred),
        usernames: applied.transitions.map(({ username }) => username),
      };
    },
    readFeed: async (after: number, limit: number) => {
      const { head, transitions } = await store.readFeed(after, limit);
      return { head, transitions: brief(transitions) };
    },
    snapshot: async () => {
      const { seq, users } = await store.snapshot();
      const named = users.map(({ id, username }) =>
        [numberOf(id), username] as const
      );
      return { seq, users: named.sort(([a], [b]) => a - b) };
    },
    claimedBy: async (nodeId: NodeId) =>
      numbersOf(await store.claimedBy(nodeId)),
    heartbeat: store.heartbeat.bind(store),
    leave: store.leave.bind(store),
    skipTo: store.skipTo.bind(store),
    subscribe: store.subscribe.bind(store),
    revoke: (n: number | undefined, tokenId: string | undefined) =>
      store.revoke({ userId: n === undefined ? n : idOf(n), tokenId }),
    readRevocations: async (after: number, limit: number) => {
      const revocations = await store.readRevocations(after, limit);
      return revocations.map(({ id, userId, tokenId }) => ({
        id,
        user: userId === undefined ? undefined : numberOf(userId),
        tokenId,
      }));
    },
  };
}

/** What an application and an operator do. */
function outside(
  subject: Subject,
  idOf: (n: number) => UserId,
  numberOf: (id: UserId) => number,
) {
  return {
    expire: subject.expire,
    prune: subject.prune,
    lockTable: subject.lockTable,
    lock: (n: number) => subject.lock(idOf(n)),
    lockPresence: (n: number) => subject.lockPresence(idOf(n)),
    status: (n: number) => subject.status(idOf(n)),
    setStatus: (n: number, status: Status) =>
      subject.setStatus(idOf(n), status),
    deleteUser: (n: number) => subject.deleteUser(idOf(n)),
    createUser: (n: number) => subject.createUser(idOf(n)),
    renameUser: (n: number, username: string) =>
      subject.renameUser(idOf(n), username),
    /** Resolves when so many statements wait for a lock, or when one of these calls has ended. */
    waiting: async (count: number, ...calls: readonly Promise<unknown>[]) => {
      let isEnded = false;
      for (const call of calls) {
        void call.catch(() => {}).then(() => isEnded = true);
      }
      while (!isEnded && await subject.countWaiting() < count) await pause(1);
    },
    /** The claims as "user@node", sorted. */
    claims: async () =>
      (await subject.claims()).map(([userId, nodeId]) =>
        `${numberOf(userId)}@${nodeId}`
      ).sort(),
  };
}
