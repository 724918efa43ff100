/**
 * The load generator: threads that hold clients, and the transitions that all of them received.
 *
 * @module
 */
import { TEST_SECRET } from "../support/server.ts";
import type { Progress, Recorded, Request, Summary } from "./load_worker.ts";
import type { Dialect, Transition } from "./raw_client.ts";

const THREADS = 3;
const QUIET_MS = 300;
const POLL_MS = 50;
/** A server that sends nothing for so long has lost some messages. */
const NO_MESSAGE_MS = 20_000;
/** Handshakes that run at once, in all threads together. */
const AT_ONCE = 192;

/** For each connection, in the order of their 101s: the time and the bytes of each message. */
export type Recording = readonly (readonly number[])[];

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
  readonly #isRecorded: boolean;

  /** @param users The largest user id of the workload. */
  constructor(users: number, isRecorded = false) {
    this.#users = users;
    this.#isRecorded = isRecorded;
    this.#threads = Array.from({ length: THREADS }, startThread);
  }

  /** Opens a connection for each user. Resolves with the time of the last 101, in milliseconds since 1970. */
  async connect(
    { url, dialect }: Target,
    userIds: readonly number[],
    atOnce = AT_ONCE,
  ): Promise<number> {
    const times = await this.#each(userIds, (share) => ({
      ...{ op: "connect", url, dialect, userIds: share } as const,
      ...{ secret: TEST_SECRET, users: this.#users },
      isRecorded: this.#isRecorded,
      atOnce: Math.max(1, Math.round(atOnce / this.#threads.length)),
    }));
    return Math.max(...times as number[]);
  }

  async close(userIds: readonly number[]): Promise<void> {
    await this.#each(userIds, (share) => ({ op: "close", userIds: share }));
  }

  /**
   * Resolves when each client of each other user knows this status of the user. The result has
   * the times at which they received it; clients that knew it before are not in it.
   */
  async awaitStatus(status: Transition): Promise<number[]> {
    const times = await this.#all({ op: "awaitStatus", status });
    return (times as number[][]).flat();
  }

  /** Resolves when each client of users up to `upTo` received `count` transitions since the last reset. */
  async awaitCount(count: number, upTo: number): Promise<void> {
    await this.#all({ op: "awaitCount", count, upTo });
  }

  /** Resolves when no client has received a transition for 300 ms. */
  async quiet(): Promise<Summary> {
    await this.stalled(QUIET_MS);
    return await this.summary();
  }

  /** Resolves when no client has received a transition for so long, or when `over` resolves. */
  async stalled(ms: number, over?: Promise<unknown>): Promise<void> {
    let isOver = false;
    void over?.then(() => isOver = true);
    let before: number | undefined;
    while (!isOver) {
      const { received } = await this.#progress();
      if (received === before) return;
      before = received;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        void over?.then(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /**
   * Resolves when the clients have received so many messages together, or none for 20 s, with the
   * bytes of all.
   */
  async awaitMessages(count: number): Promise<number> {
    let progressedAt = performance.now();
    let before = -1;
    while (true) {
      const { messages, bytes } = await this.#progress();
      const now = performance.now();
      if (messages > before) progressedAt = now;
      before = messages;
      if (messages >= count || now - progressedAt > NO_MESSAGE_MS) return bytes;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async reset(): Promise<void> {
    await this.#all({ op: "reset" });
  }

  async recording(): Promise<Recording> {
    const recorded = await this.#all({ op: "recording" }) as Recorded[][];
    return recorded.flat().sort((a, b) => a.openedAt - b.openedAt)
      .map(({ steps }) => steps);
  }

  async #progress(): Promise<Progress> {
    const parts = await this.#all({ op: "progress" }) as Progress[];
    return {
      messages: sumOf(parts, "messages"),
      bytes: sumOf(parts, "bytes"),
      received: sumOf(parts, "received"),
    };
  }

  async summary(): Promise<Summary> {
    const summaries = await this.#all({ op: "summary" }) as Summary[];
    const sum = (key: Exclude<keyof Summary, "each">) => sumOf(summaries, key);
    return {
      clients: sum("clients"),
      messages: sum("messages"),
      bytes: sum("bytes"),
      received: sum("received"),
      repeated: sum("repeated"),
      lost: sum("lost"),
      each: summaries.flatMap(({ each }) => each),
    };
  }

  [Symbol.dispose](): void {
    for (const { worker } of this.#threads) worker.terminate();
  }

  /** All clients of one user are in the same thread. */
  async #each(
    userIds: readonly number[],
    request: (share: number[]) => Request,
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

function sumOf<Key extends string>(
  parts: readonly Readonly<Record<Key, number>>[],
  key: Key,
): number {
  return parts.reduce((total, part) => total + part[key], 0);
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
