/**
 * The load generator: threads that hold clients, and what they were told all together.
 *
 * @module
 */
import type { UserId } from "../../src/protocol/user_id.ts";
import { TEST_SECRET } from "../support/server.ts";
import type { Request, Summary } from "./load_worker.ts";
import type { Dialect, Told } from "./raw_client.ts";

const THREADS = 3;
const QUIET_MS = 300;
/** Handshakes under way at once, all together. */
const AT_ONCE = 192;

interface Thread {
  readonly worker: Worker;
  ask(request: Request): Promise<unknown>;
}

export interface Target {
  readonly url: string;
  readonly dialect: Dialect;
}

export class Load implements Disposable {
  readonly #threads: readonly Thread[];
  readonly #users: number;

  /** @param users Largest user id that there will be. */
  constructor(users: number, threads = THREADS) {
    this.#users = users;
    this.#threads = Array.from({ length: threads }, startThread);
  }

  /** Opens a connection for each user. Resolves with the time of the last 101. */
  async connect(
    { url, dialect }: Target,
    userIds: readonly UserId[],
    atOnce = AT_ONCE,
  ): Promise<number> {
    const times = await this.#each(userIds, (share) => ({
      ...{ op: "connect", url, dialect, userIds: share } as const,
      ...{ secret: TEST_SECRET, users: this.#users },
      atOnce: Math.max(1, Math.round(atOnce / this.#threads.length)),
    }));
    return Math.max(...times as number[]);
  }

  async close(userIds: readonly UserId[]): Promise<void> {
    await this.#each(userIds, (share) => ({ op: "close", userIds: share }));
  }

  /** Resolves when all others know this of a user, with when each was told. */
  async hears(told: Told): Promise<number[]> {
    const times = await this.#all({ op: "hears", told });
    return (times as number[][]).flat();
  }

  /** Resolves when each client of users up to `upTo` was told of so many since the last reset. */
  async counts(count: number, upTo: UserId): Promise<void> {
    await this.#all({ op: "counts", count, upTo });
  }

  /** Resolves when nobody was told anything for a while. */
  async quiet(quietMs = QUIET_MS): Promise<Summary> {
    let before = await this.summary();
    while (true) {
      await new Promise((resolve) => setTimeout(resolve, quietMs));
      const after = await this.summary();
      if (after.told === before.told) return after;
      before = after;
    }
  }

  async reset(): Promise<void> {
    await this.#all({ op: "reset" });
  }

  async summary(): Promise<Summary> {
    const deps = await this.#all({ op: "summary" }) as Summary[];
    const sum = (key: Exclude<keyof Summary, "clientsTold">) =>
      deps.reduce((total, part) => total + part[key], 0);
    return {
      clients: sum("clients"),
      messages: sum("messages"),
      told: sum("told"),
      repeated: sum("repeated"),
      lost: sum("lost"),
      clientsTold: deps.flatMap(({ clientsTold }) => clientsTold),
    };
  }

  [Symbol.dispose](): void {
    for (const { worker } of this.#threads) worker.terminate();
  }

  /** A user is always held by the same thread. */
  async #each(
    userIds: readonly UserId[],
    request: (share: UserId[]) => Request,
  ): Promise<unknown[]> {
    const { length } = this.#threads;
    return await Promise.all(
      this.#threads.map((thread, index) =>
        thread.ask(request(userIds.filter((id) => id % length === index)))
      ),
    );
  }

  async #all(request: Request): Promise<unknown[]> {
    return await Promise.all(this.#threads.map(({ ask }) => ask(request)));
  }
}

function startThread(): Thread {
  const url = new URL("load_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let number = 0;
  worker.onmessage = ({ data: [answered, { value, error }] }) => {
    const request = waiting.get(answered);
    waiting.delete(answered);
    if (error === undefined) request?.resolve(value);
    else request?.reject(new Error(error));
  };
  return {
    worker,
    ask: (request) => {
      const answer = Promise.withResolvers<unknown>();
      number += 1;
      waiting.set(number, answer);
      worker.postMessage([number, request]);
      return answer.promise;
    },
  };
}
