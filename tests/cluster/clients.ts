/**
 * The clients of a chaos run. Each connects to one node after another, and is judged by what it
 * received.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import {
  connect as connectLibrary,
  type Rollcall,
} from "../../src/client/client.ts";
import { within } from "../../src/base/clock.ts";
import type { ServerMessage } from "../../src/client/protocol/messages.ts";
import { INTEGER_IDS, type UserId } from "../../src/client/protocol/user_id.ts";
import { open, type TestClient, tokenFor } from "../support/client.ts";
import { connectSync, type SyncClient } from "../support/sync_client.ts";
import { pause, until } from "../support/until.ts";
import type { Machine } from "./cluster.ts";
import { type FeedRow, judgeLife, type Life } from "./history.ts";

/** Time for a close to be answered. A paused server does not answer. */
const CLOSE_MS = 15_000;

export interface ChaosClient {
  readonly userId: UserId;
  readonly isOpen: boolean;
  /** Messages, or events of the library, so far. */
  readonly received: number;
  /** Of whom it received anything. */
  readonly mentioned: ReadonlySet<UserId>;
  /** Whether the client has received every transition that concerns it. */
  isCurrent(feed: readonly FeedRow[], online: readonly UserId[]): boolean;
  /** @throws if what it received is not what happened. */
  judge(feed: readonly FeedRow[], online: readonly UserId[]): void;
}

/** A client that the run moves from node to node. */
export interface MovingClient extends ChaosClient {
  enter(machine: Machine): Promise<void>;
  leave(): Promise<void>;
}

/** A client of version 1. */
export class V1Client implements MovingClient {
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

  get received(): number {
    return this.#lives().reduce(
      (sum, { received }) => sum + received.length,
      0,
    );
  }

  get mentioned(): ReadonlySet<UserId> {
    const messages = this.#lives().flatMap(({ received }) => received);
    return new Set(messages.map(({ userId }) => userId));
  }

  async enter({ url, name }: Machine): Promise<void> {
    if (url === undefined) return;
    try {
      const client = await open(url, this.userId);
      this.#client = client;
      // A node that dies meanwhile does not answer.
      const openSeq = await readSeq(url).catch(() => Infinity);
      const { userId } = this;
      this.#life = { userId, node: name, openSeq, received: client.messages };
    } catch {
      // The node does not run at the moment.
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

  isCurrent(feed: readonly FeedRow[]): boolean {
    const last = feed.findLast(({ userId }) => userId !== this.userId);
    if (!this.isOpen || last === undefined) return true;
    if (this.#life === undefined || last.seq <= this.#life.openSeq) return true;
    const received = this.#client?.messages.at(-1);
    return received?.userId === last.userId &&
      received.type === `user_${last.status}`;
  }

  judge(feed: readonly FeedRow[]): void {
    for (const life of this.#lives()) judgeLife(life, feed);
  }

  #lives(): Life[] {
    if (this.#life === undefined) return this.#ended;
    return [...this.#ended, { ...this.#life, isOpen: this.isOpen }];
  }
}

/** A client of version 2, which resumes on another node from where it was. */
export class V2Client implements MovingClient {
  readonly userId: UserId;
  readonly #watch: readonly UserId[] | undefined;
  #client: SyncClient | undefined;
  #known: { readonly since: number; readonly known: UserId[] } | undefined;
  #receivedBefore = 0;
  readonly #mentioned = new Set<UserId>();

  constructor(userId: UserId, watch?: readonly UserId[]) {
    this.userId = userId;
    this.#watch = watch;
  }

  get isOpen(): boolean {
    return this.#client?.socket.readyState === WebSocket.OPEN;
  }

  get received(): number {
    return this.#receivedBefore + (this.#client?.messages.length ?? 0);
  }

  get mentioned(): ReadonlySet<UserId> {
    return new Set([
      ...this.#mentioned,
      ...mentionedIn(this.#client?.messages ?? []),
    ]);
  }

  async enter({ url }: Machine): Promise<void> {
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
    await until("a message or the close arrives", isSettled, 1_000).catch(
      () => {},
    );
  }

  /** @throws if a message broke the protocol. */
  async leave(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client === undefined) return;
    this.#receivedBefore += client.messages.length;
    for (const id of mentionedIn(client.messages)) this.#mentioned.add(id);
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

  isCurrent(_feed: readonly FeedRow[], online: readonly UserId[]): boolean {
    if (!this.isOpen) return true;
    return this.#client?.model.ids.join() === this.#wanted(online).join();
  }

  judge(_feed: readonly FeedRow[], online: readonly UserId[]): void {
    if (!this.isOpen) return;
    deepEqual(
      this.#client?.model.ids,
      this.#wanted(online),
      "[S1] when it is quiet",
    );
  }

  #wanted(online: readonly UserId[]): UserId[] {
    return online.filter((id) => this.#watch?.includes(id) ?? true);
  }
}

/** The client library, which reconnects by itself. */
export class LibraryClient implements ChaosClient {
  readonly userId: UserId;
  readonly #rollcall: Rollcall;
  readonly #watch: readonly UserId[] | "*";
  /** Who is online by the events alone. */
  readonly #byEvents = new Set<UserId>();
  readonly #faults: string[] = [];
  readonly mentioned = new Set<UserId>();
  #events = 0;

  constructor(
    serverUrl: string,
    userId: UserId,
    watch: readonly UserId[] | "*",
  ) {
    this.userId = userId;
    this.#watch = watch;
    this.#rollcall = connectLibrary(new URL("ws", serverUrl), {
      token: () => tokenFor(userId),
      watch,
    });
    this.#rollcall.on("state", (users) => {
      this.#byEvents.clear();
      for (const id of users.keys()) {
        this.#byEvents.add(id);
        this.mentioned.add(id);
      }
    });
    this.#rollcall.on("online", ({ user }) => {
      this.#events += 1;
      this.mentioned.add(user.id);
      if (this.#byEvents.has(user.id)) {
        this.#faults.push(`${user.id} came online twice`);
      }
      this.#byEvents.add(user.id);
    });
    this.#rollcall.on("offline", ({ user }) => {
      this.#events += 1;
      this.mentioned.add(user.id);
      if (!this.#byEvents.delete(user.id)) {
        this.#faults.push(`${user.id} went offline twice`);
      }
    });
  }

  get isOpen(): boolean {
    return this.#rollcall.connection.state === "connected";
  }

  get received(): number {
    return this.#events;
  }

  isCurrent(_feed: readonly FeedRow[], online: readonly UserId[]): boolean {
    return this.isOpen && this.#ids().join() === this.#wanted(online).join();
  }

  judge(_feed: readonly FeedRow[], online: readonly UserId[]): void {
    ok(this.isOpen, `the library of ${this.userId} is not connected`);
    deepEqual(this.#faults, [], "[S2] every event is a change");
    deepEqual(
      this.#ids(),
      this.#wanted(online),
      "[S1] the library when it is quiet",
    );
    deepEqual(
      [...this.#byEvents].sort(INTEGER_IDS.compare),
      this.#ids(),
      "the events of the library",
    );
  }

  async leave(): Promise<void> {
    this.#rollcall.close();
    await pause(0);
  }

  #ids(): UserId[] {
    return [...this.#rollcall.users.keys()].sort(INTEGER_IDS.compare);
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

/** The seq of the roster, with which the ETag begins. */
export function seqOf(response: Response): number {
  return parseInt((response.headers.get("etag") ?? "").slice(1));
}

function mentionedIn(messages: readonly ServerMessage[]): UserId[] {
  return messages.flatMap((message) => {
    if (message.type === "presence_state") {
      return message.users.map(({ id }) => id);
    }
    if (message.type !== "presence_diff") return [];
    return [...message.online.map(({ id }) => id), ...message.offline];
  });
}
