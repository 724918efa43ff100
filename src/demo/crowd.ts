/**
 * The crowd: simulated users of the demo, with real sockets to this server.
 *
 * One background task opens sockets at a steady rate until every user has one. Every second it
 * also disconnects one user for a few seconds, so that the page has something to show. It knows
 * the server only by its URL, as any client does.
 *
 * @module
 */
import { BackgroundTask } from "../base/background_task.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { CLOSE } from "../client/protocol/close.ts";
import {
  BEARER_SUBPROTOCOL_PREFIX,
  SUBPROTOCOL_V2,
} from "../client/protocol/messages.ts";
import type { UserId, UserIds } from "../client/protocol/user_id.ts";
import { demoUserId } from "./demo_users.ts";
import { crowdName } from "./crowd_names.ts";
import { CROWD_CONNECTS_PER_SECOND_MAX, CROWD_USERS_MAX } from "./limits.ts";

export interface CrowdDeps {
  /** The URL of this server. Called only when the server listens. */
  readonly url: () => string;
  readonly ids: UserIds;
  /** Signs a token for a user. */
  readonly sign: (userId: UserId) => Promise<string>;
  /** Adds users from the nth on to the database, without those that it has. */
  readonly addUsers: (
    usernames: readonly string[],
    first: number,
  ) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

/** The number of the first one. Far above those of the demo's own users, so that a simulated user is easy to recognize. */
const FIRST = 1_001;

/** Time between two steps of the task. */
const STEP_MS = 50;
const CONNECTS_PER_STEP = CROWD_CONNECTS_PER_SECOND_MAX * STEP_MS / 1_000;

/** Time between two users who are disconnected for a while. */
const PAUSE_EVERY_MS = 1_000;
/** Mean time until a disconnected user connects again. The jitter is half of it in both directions. */
const PAUSE_MS = 4_000;
/** Share of the users who may be without a socket. Above it no other user is disconnected. */
const PAUSED_SHARE_MAX = 1 / 5;

export class Crowd {
  readonly #deps: CrowdDeps;
  readonly #task: BackgroundTask;
  /** By the numbers of their users. */
  readonly #sockets = new Map<number, WebSocket>();
  /** Numbers of users without a socket, and when to open it. */
  readonly #connectAt = new Map<number, number>();
  #size = 0;
  /** This many users, from the first on, are known to be in the database. */
  #stored = 0;

  constructor(deps: CrowdDeps) {
    this.#deps = deps;
    this.#task = new BackgroundTask((signal) => this.#run(signal));
  }

  /** Number of simulated users, connected or not. */
  get size(): number {
    return this.#size;
  }

  /** Adds users, who then connect one after the other. `"full"`: there would be too many, and none was added. */
  add(count: number): "added" | "full" {
    if (this.#size + count > CROWD_USERS_MAX) return "full";
    const now = this.#deps.clock.now();
    const next = FIRST + this.#size;
    for (let nth = next; nth < next + count; nth++) {
      this.#connectAt.set(nth, now);
    }
    this.#size += count;
    this.#task.wake();
    return "added";
  }

  /** Removes all users and closes their sockets. A step in progress opens no socket after this. */
  clear(): void {
    this.#size = 0;
    this.#connectAt.clear();
    for (const nth of [...this.#sockets.keys()]) this.#close(nth);
  }

  async stop(): Promise<void> {
    this.clear();
    await this.#task.stop();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    let pauseAt = clock.now() + PAUSE_EVERY_MS;
    while (this.#size > 0 && !signal.aborted) {
      try {
        await this.#storeUsers();
        await this.#connectSome();
      } catch (err) {
        log.warn({ err }, "cannot connect simulated users, trying again");
        await clock.sleep(PAUSE_MS, signal);
      }
      if (clock.now() >= pauseAt) {
        pauseAt = clock.now() + PAUSE_EVERY_MS;
        this.#pauseOne();
      }
      await clock.sleep(STEP_MS, signal);
    }
  }

  async #storeUsers(): Promise<void> {
    const size = this.#size;
    if (this.#stored >= size) return;
    const names = Array.from(
      { length: size - this.#stored },
      (_, index) => crowdName(this.#stored + index),
    );
    await this.#deps.addUsers(names, FIRST + this.#stored);
    this.#stored = size;
  }

  async #connectSome(): Promise<void> {
    const { clock, ids, sign } = this.#deps;
    const now = clock.now();
    const due = [...this.#connectAt]
      .filter(([nth, at]) => at <= now && nth < FIRST + this.#stored)
      .slice(0, CONNECTS_PER_STEP)
      .map(([nth]) => nth);
    const tokens = await Promise.all(
      due.map((nth) => sign(demoUserId(ids, nth))),
    );
    for (const [index, nth] of due.entries()) {
      // The user may have been removed while the token was signed.
      if (!this.#connectAt.delete(nth)) continue;
      this.#open(nth, tokens[index] ?? "");
    }
  }

  #open(nth: number, token: string): void {
    const url = new URL("ws", this.#deps.url().replace("http", "ws"));
    // They watch no users: messages to thousands of them would be most of the load.
    url.searchParams.set("watch", "");
    const protocols = [SUBPROTOCOL_V2, BEARER_SUBPROTOCOL_PREFIX + token];
    const socket = new WebSocket(url, protocols);
    this.#sockets.set(nth, socket);
    socket.onerror = (event) => event.preventDefault();
    socket.onclose = ({ code }) => {
      if (this.#sockets.get(nth) !== socket) return;
      // The server does not know the user: the row was deleted. All are added again.
      if (code === CLOSE.policy.code) this.#stored = 0;
      this.#pause(nth);
    };
  }

  #pauseOne(): void {
    if (this.#connectAt.size >= this.#size * PAUSED_SHARE_MAX) return;
    const connected = [...this.#sockets.keys()];
    const nth = connected[Math.floor(Math.random() * connected.length)];
    if (nth !== undefined) this.#pause(nth);
  }

  /** Closes the user's socket, and opens another one after a while. */
  #pause(nth: number): void {
    this.#close(nth);
    const pauseMs = PAUSE_MS * (0.5 + Math.random());
    this.#connectAt.set(nth, this.#deps.clock.now() + pauseMs);
  }

  #close(nth: number): void {
    const socket = this.#sockets.get(nth);
    this.#sockets.delete(nth);
    socket?.close();
  }
}
