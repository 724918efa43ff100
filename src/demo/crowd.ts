/**
 * The demo's crowd: simulated users with real sockets to this very server.
 *
 * What is wanted is a number of users; a single loop brings the sockets there at a steady
 * pace, and lets somebody go out for a moment now and then. It knows the server only by its
 * URL, as any client does.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { CROWD_CONNECTS_PER_SECOND_MAX, CROWD_USERS_MAX } from "./limits.ts";
import type { Log } from "../base/log.ts";
import {
  BEARER_SUBPROTOCOL_PREFIX,
  SUBPROTOCOL_V2,
} from "../protocol/messages.ts";
import { CLOSE } from "../protocol/close.ts";
import type { UserId } from "../protocol/user_id.ts";
import { crowdName } from "./crowd_names.ts";

export interface CrowdDeps {
  /** Of this server, when it listens. */
  readonly url: () => string;
  readonly sign: (userId: UserId) => Promise<string>;
  /** Puts users into the database that are not there yet. */
  readonly addUsers: (
    usernames: readonly string[],
    firstId: UserId,
  ) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Far above the demo's own users, so that it is plain who is simulated. */
const FIRST_ID = 1_001;

const TICK_MS = 50;
const CONNECTS_PER_TICK = CROWD_CONNECTS_PER_SECOND_MAX * TICK_MS / 1_000;
/** Somebody goes out so often, unless one in five is out already. */
const LEAVE_MS = 1_000;
const AWAY_SHARE = 1 / 5;
/** From half of it to one and a half. */
const AWAY_MS = 4_000;

export class Crowd {
  readonly #deps: CrowdDeps;
  readonly #stop = new AbortController();
  readonly #sockets = new Map<UserId, WebSocket>();
  /** Who has no socket, and when to open one. */
  readonly #away = new Map<UserId, number>();
  #size = 0;
  /** So many of the first users are in the database, as far as we know. */
  #stored = 0;
  #working: Promise<void> | undefined;

  constructor(deps: CrowdDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#size;
  }

  add(count: number): "added" | "full" {
    if (this.#size + count > CROWD_USERS_MAX) return "full";
    const now = this.#deps.clock.now();
    const next = FIRST_ID + this.#size;
    for (let id = next; id < next + count; id++) this.#away.set(id, now);
    this.#size += count;
    this.#working ??= this.#work();
    return "added";
  }

  /** Everybody goes. */
  empty(): void {
    this.#size = 0;
    this.#away.clear();
    for (const userId of [...this.#sockets.keys()]) this.#close(userId);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.empty();
    await this.#working;
  }

  async #work(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stop;
    let leaveAt = clock.now() + LEAVE_MS;
    while (this.#size > 0 && !signal.aborted) {
      try {
        await this.#storeUsers();
        await this.#connectSome();
      } catch (err) {
        log.warn({ err }, "the simulated users cannot connect");
        await clock.sleep(AWAY_MS, signal);
      }
      if (clock.now() >= leaveAt) {
        leaveAt = clock.now() + LEAVE_MS;
        this.#sendSomebodyOut();
      }
      await clock.sleep(TICK_MS, signal);
    }
    this.#working = undefined;
  }

  async #storeUsers(): Promise<void> {
    const size = this.#size;
    if (this.#stored >= size) return;
    const names = Array.from(
      { length: size - this.#stored },
      (_, index) => crowdName(this.#stored + index),
    );
    await this.#deps.addUsers(names, FIRST_ID + this.#stored);
    this.#stored = size;
  }

  async #connectSome(): Promise<void> {
    const { clock, sign } = this.#deps;
    const now = clock.now();
    const due = [...this.#away]
      .filter(([userId, at]) => at <= now && userId < FIRST_ID + this.#stored)
      .slice(0, CONNECTS_PER_TICK)
      .map(([userId]) => userId);
    const tokens = await Promise.all(due.map(sign));
    for (const [index, userId] of due.entries()) {
      // Everybody may have been sent away meanwhile.
      if (this.#away.delete(userId)) this.#open(userId, tokens[index] ?? "");
    }
  }

  #open(userId: UserId, token: string): void {
    const url = new URL("ws", this.#deps.url().replace("http", "ws"));
    // They hear of nobody: five thousand who hear of each other would be the load, not the demo.
    url.searchParams.set("watch", "");
    const protocols = [SUBPROTOCOL_V2, BEARER_SUBPROTOCOL_PREFIX + token];
    const socket = new WebSocket(url, protocols);
    this.#sockets.set(userId, socket);
    socket.onerror = (event) => event.preventDefault();
    socket.onclose = ({ code }) => {
      if (this.#sockets.get(userId) !== socket) return;
      // Somebody deleted the row.
      if (code === CLOSE.policy.code) this.#stored = 0;
      this.#goAway(userId);
    };
  }

  #sendSomebodyOut(): void {
    if (this.#away.size >= this.#size * AWAY_SHARE) return;
    const present = [...this.#sockets.keys()];
    const userId = present[Math.floor(Math.random() * present.length)];
    if (userId !== undefined) this.#goAway(userId);
  }

  #goAway(userId: UserId): void {
    this.#close(userId);
    const forMs = AWAY_MS * (0.5 + Math.random());
    this.#away.set(userId, this.#deps.clock.now() + forMs);
  }

  #close(userId: UserId): void {
    const socket = this.#sockets.get(userId);
    this.#sockets.delete(userId);
    socket?.close();
  }
}
