/**
 * A client of version 1 as an application writes it: it opens a socket, then reads the list, and
 * applies what the socket has sent since.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import { within } from "../../src/base/clock.ts";
import type { UserStatusBroadcast } from "../../src/client/protocol/messages.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { open, type TestClient, tokenFor } from "../support/client.ts";
import { until } from "../support/until.ts";
import type { MovingClient } from "./clients.ts";
import type { Machine } from "./cluster.ts";
import type { FeedRow } from "./history.ts";

/** Time for a close to be answered. A paused server does not answer. */
const CLOSE_MS = 15_000;
/** Time for the user to come online. A node without its database takes longer. */
const ONLINE_MS = 3_000;

export class ListClient implements MovingClient {
  readonly userId: UserId;
  #client: TestClient | undefined;
  /** Who was online when the list was read. `undefined`: it could not be read. */
  #listed: ReadonlySet<UserId> | undefined;
  readonly #lives: (readonly UserStatusBroadcast[])[] = [];

  constructor(userId: UserId) {
    this.userId = userId;
  }

  get isOpen(): boolean {
    return this.#client?.socket.readyState === WebSocket.OPEN;
  }

  /** Whether it knows who is online. */
  get hasView(): boolean {
    return this.isOpen && this.#listed !== undefined;
  }

  get received(): number {
    return this.#lives.reduce((sum, { length }) => sum + length, 0);
  }

  get mentioned(): ReadonlySet<UserId> {
    const ids = this.#lives.flat().map(({ userId }) => userId);
    return new Set([...ids, ...this.#listed ?? []]);
  }

  async enter({ url }: Machine): Promise<void> {
    if (url === undefined) return;
    try {
      const client = await open(url, this.userId);
      this.#client = client;
      this.#lives.push(client.messages);
      this.#listed = await this.#read(url).catch(() => undefined);
    } catch {
      // The node does not run at the moment.
    }
  }

  async leave(): Promise<void> {
    const client = this.#client;
    this.#client = this.#listed = undefined;
    if (client === undefined) return;
    await within(CLOSE_MS, "closing", client.close()).catch(() => {});
  }

  isCurrent(_feed: readonly FeedRow[], online: readonly UserId[]): boolean {
    if (!this.hasView) return true;
    return this.#view().join() === this.#others(online).join();
  }

  judge(_feed: readonly FeedRow[], online: readonly UserId[]): void {
    for (const messages of this.#lives) {
      const last = new Map<UserId, string>();
      for (const { userId, type } of messages) {
        const who = `${userId} for ${this.userId}`;
        ok(userId !== this.userId, `[P2] ${who} is itself`);
        ok(last.get(userId) !== type, `[V2] ${who}: ${type} twice`);
        last.set(userId, type);
      }
    }
    if (!this.hasView) return;
    deepEqual(this.#view(), this.#others(online), `[V2] of ${this.userId}`);
  }

  /** The list, once it has the client's own user: from then on its groups are known to the node. */
  async #read(url: string): Promise<ReadonlySet<UserId>> {
    const headers = { authorization: `Bearer ${await tokenFor(this.userId)}` };
    return await until("the client's user is listed", async () => {
      const response = await fetch(`${url}users/online`, {
        headers,
        signal: AbortSignal.timeout(ONLINE_MS),
      });
      const { online_users } = await response.json();
      const ids = new Set<UserId>(
        online_users?.map(({ id }: { id: UserId }) => id),
      );
      return ids.has(this.userId) && ids;
    }, ONLINE_MS);
  }

  /** What it was sent last of each user counts, and else the list. Ascending, without itself. */
  #view(): UserId[] {
    const view = new Set(this.#listed);
    for (const { userId, type } of this.#client?.messages ?? []) {
      if (type === "user_online") view.add(userId);
      else view.delete(userId);
    }
    return this.#others([...view]);
  }

  #others(ids: readonly UserId[]): UserId[] {
    return ids.filter((id) => id !== this.userId)
      .sort((a, b) => Number(a) - Number(b));
  }
}
