/**
 * People with devices: each connects somewhere, goes, comes back elsewhere, and is judged.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import { connect as follow, type Rollcall } from "../../src/client/client.ts";
import { within } from "../../src/base/clock.ts";
import type { UserId } from "../../src/protocol/user_id.ts";
import { open, type TestClient, tokenFor } from "../support/client.ts";
import { connectSync, type SyncClient } from "../support/sync_client.ts";
import { until } from "../support/until.ts";
import type { Slot } from "./cluster.ts";
import { type FeedRow, judgeLife, type Life } from "./history.ts";

/** A paused or cut-off server does not answer; what is left of a socket is not waited for. */
const CLOSE_MS = 15_000;

/** Whoever may be online. */
export interface Person {
  readonly userId: UserId;
  readonly isOpen: boolean;
  /** How many messages, or events of the library, it got. */
  readonly heard: number;
  /** Whether everything has reached it. */
  isTold(feed: readonly FeedRow[], online: readonly UserId[]): boolean;
  /** Throws if what it was told is not what happened. */
  judge(feed: readonly FeedRow[], online: readonly UserId[]): void;
}

/** Somebody who is moved about. */
export interface Mover extends Person {
  enter(slot: Slot): Promise<void>;
  leave(): Promise<void>;
}

/** A client of version 1. */
export class Listener implements Mover {
  readonly userId: UserId;
  readonly #ended: Life[] = [];
  #client: TestClient | undefined;
  #life: Omit<Life, "isOpen"> | undefined;

  constructor(userId: UserId) {
    this.userId = userId;
  }

  get isOpen(): boolean {
    return this.#client?.socket.readyState === WebSocket.OPEN;
  }

  get heard(): number {
    return this.#lives().reduce((sum, { heard }) => sum + heard.length, 0);
  }

  async enter({ url, name }: Slot): Promise<void> {
    if (url === undefined) return;
    try {
      const client = await open(url, this.userId);
      this.#client = client;
      // A node that dies meanwhile leaves an open end.
      const openSeq = await readSeq(url).catch(() => Infinity);
      const { userId } = this;
      this.#life = { userId, node: name, openSeq, heard: client.messages };
    } catch {
      // The node is not there at the moment.
    }
  }

  async leave(): Promise<void> {
    const client = this.#client;
    const life = this.#life;
    this.#client = this.#life = undefined;
    if (client === undefined) return;
    await within(CLOSE_MS, "closing", client.close()).catch(() => {});
    if (life !== undefined) this.#ended.push({ ...life, isOpen: false });
  }

  isTold(feed: readonly FeedRow[]): boolean {
    const last = feed.findLast(({ userId }) => userId !== this.userId);
    if (!this.isOpen || last === undefined) return true;
    if (this.#life === undefined || last.seq <= this.#life.openSeq) return true;
    const heard = this.#client?.messages.at(-1);
    return heard?.userId === last.userId &&
      heard.type === `user_${last.status}`;
  }

  judge(feed: readonly FeedRow[]): void {
    for (const life of this.#lives()) judgeLife(life, feed);
  }

  #lives(): Life[] {
    if (this.#life === undefined) return this.#ended;
    return [...this.#ended, { ...this.#life, isOpen: this.isOpen }];
  }
}

/** A client of version 2, which goes on from where it was, on whatever node. */
export class Synced implements Mover {
  readonly userId: UserId;
  readonly #watch: readonly UserId[] | undefined;
  #client: SyncClient | undefined;
  #known: { readonly since: number; readonly known: UserId[] } | undefined;
  #heardBefore = 0;

  constructor(userId: UserId, watch?: readonly UserId[]) {
    this.userId = userId;
    this.#watch = watch;
  }

  get isOpen(): boolean {
    return this.#client?.socket.readyState === WebSocket.OPEN;
  }

  get heard(): number {
    return this.#heardBefore + (this.#client?.messages.length ?? 0);
  }

  async enter({ url }: Slot): Promise<void> {
    if (url === undefined) return;
    const watch = this.#watch === undefined ? {} : { watch: this.#watch };
    const client = await connectSync(url, this.userId, {
      ...this.#known,
      ...watch,
    });
    this.#client = client;
    const { messages, socket } = client;
    const isClosed = () => socket.readyState === WebSocket.CLOSED;
    const isSettled = () => messages.length > 0 || isClosed();
    await until("it is told or closed", isSettled, 1_000).catch(() => {});
  }

  /** @throws what the model found wrong. */
  async leave(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client === undefined) return;
    this.#heardBefore += client.messages.length;
    const { seq, ids } = client.model;
    if (client.messages.length > 0) this.#known = { since: seq, known: ids };
    const closing = Promise.resolve(client[Symbol.asyncDispose]());
    let timer: ReturnType<typeof setTimeout> | undefined;
    closing.catch(() => {});
    const late = new Promise<void>((resolve) =>
      timer = setTimeout(resolve, CLOSE_MS)
    );
    await Promise.race([closing, late]);
    clearTimeout(timer);
  }

  isTold(_feed: readonly FeedRow[], online: readonly UserId[]): boolean {
    if (!this.isOpen) return true;
    return this.#client?.model.ids.join() === this.#wanted(online).join();
  }

  judge(_feed: readonly FeedRow[], online: readonly UserId[]): void {
    if (!this.isOpen) return;
    deepEqual(this.#client?.model.ids, this.#wanted(online), "[S1] at quiet");
  }

  #wanted(online: readonly UserId[]): UserId[] {
    return online.filter((id) => this.#watch?.includes(id) ?? true);
  }
}

/** The client library: connected once, it comes back by itself. */
export class Follower implements Person {
  readonly userId: UserId;
  readonly #rollcall: Rollcall;
  readonly #watch: readonly UserId[] | "*";
  /** As the events tell it. */
  readonly #told = new Set<UserId>();
  readonly #faults: string[] = [];
  #events = 0;

  constructor(
    serverUrl: string,
    userId: UserId,
    watch: readonly UserId[] | "*",
  ) {
    this.userId = userId;
    this.#watch = watch;
    this.#rollcall = follow(new URL("ws", serverUrl), {
      token: () => tokenFor(userId),
      watch,
    });
    this.#rollcall.on("state", (users) => {
      this.#told.clear();
      for (const id of users.keys()) this.#told.add(id);
    });
    this.#rollcall.on("online", ({ user }) => {
      this.#events += 1;
      if (this.#told.has(user.id)) this.#faults.push(`${user.id} came twice`);
      this.#told.add(user.id);
    });
    this.#rollcall.on("offline", ({ user }) => {
      this.#events += 1;
      if (!this.#told.delete(user.id)) {
        this.#faults.push(`${user.id} left twice`);
      }
    });
  }

  get isOpen(): boolean {
    return this.#rollcall.connection.state === "connected";
  }

  get heard(): number {
    return this.#events;
  }

  isTold(_feed: readonly FeedRow[], online: readonly UserId[]): boolean {
    return this.isOpen && this.#ids().join() === this.#wanted(online).join();
  }

  judge(_feed: readonly FeedRow[], online: readonly UserId[]): void {
    ok(this.isOpen, `the library of ${this.userId} is not connected`);
    deepEqual(this.#faults, [], "[S2] only real differences");
    deepEqual(this.#ids(), this.#wanted(online), "[S1] the library at quiet");
    deepEqual([...this.#told].sort((a, b) => a - b), this.#ids(), "its events");
  }

  async leave(): Promise<void> {
    this.#rollcall.close();
    await pause(0);
  }

  #ids(): UserId[] {
    return [...this.#rollcall.users.keys()].sort((a, b) => a - b);
  }

  #wanted(online: readonly UserId[]): UserId[] {
    return online.filter((id) =>
      this.#watch === "*" || this.#watch.includes(id)
    );
  }
}

async function readSeq(url: string): Promise<number> {
  const response = await fetch(`${url}users/online`, {
    signal: AbortSignal.timeout(5_000),
  });
  await response.body?.cancel();
  return seqOf(response);
}

/** The ETag begins with the roster's seq. */
export function seqOf(response: Response): number {
  return parseInt((response.headers.get("etag") ?? "").slice(1));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
