/**
 * The notification link is the connection on which the store announces that the feed has grown.
 *
 * It keeps one subscription after another alive. A half-open connection reports no error, and a
 * notification that is lost never arrives. So the link sends a heartbeat over the connection: it
 * asks for the head of the feed. No answer within `NOTIFICATION_ANSWER_MS` means that the
 * connection is dead. An answer shows what was lost.
 *
 * The link does not know what becomes of an announcement.
 *
 * @module
 */
import { type Clock, retryMs, within } from "../../base/clock.ts";
import { NOTIFICATION_ANSWER_MS } from "../../base/limits.ts";
import type { Log } from "../../base/log.ts";
import { messageOf } from "../../base/message_of.ts";
import type { Roster } from "../roster/roster.ts";
import type { Notifications, Store, Subscription } from "../store/store.ts";

export interface NotificationLinkDeps extends Notifications {
  readonly store: Pick<Store, "subscribe">;
  readonly roster: Pick<Roster, "seq">;
  readonly clock: Clock;
  readonly log: Log;
  readonly heartbeatMs: number;
  /** A heartbeat was answered with the head of the feed. `taken` is the roster's `seq` before it. */
  readonly onHeartbeat: (head: number, taken: number) => void;
  /** The connection ended, or another try to reconnect failed. */
  readonly onDown: () => void;
  /** There is a new connection, which may lead to another database. */
  readonly onReconnected: () => void;
}

export class NotificationLink {
  readonly #deps: NotificationLinkDeps;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  #subscription: Subscription | undefined;
  #running: Promise<void> | undefined;
  #isUp = false;
  /** Connections in a row that failed, or ended before they lasted one heartbeat. */
  #failures = 0;

  constructor(deps: NotificationLinkDeps, random: () => number) {
    this.#deps = deps;
    this.#random = random;
  }

  /** Whether there is a connection that has not failed a heartbeat. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Makes the first connection. Rejects as the store does. */
  async connect(): Promise<void> {
    this.#subscription = await this.#subscribe();
  }

  /** Starts the heartbeat of the first connection, and reconnects from now on. */
  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#subscription?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log, onDown } = this.#deps;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const reason = await this.#listen().catch(messageOf);
      if (signal.aborted) break;
      log.warn({ reason }, "lost the notification connection, reconnecting");
      this.#isUp = false;
      onDown();
      await this.#subscription?.close();
      this.#subscription = undefined;
      await clock.sleep(retryMs(this.#failures, this.#random), signal);
      this.#failures += 1;
    }
    this.#isUp = false;
    await this.#subscription?.close();
  }

  /** Connects if there is no connection, and rejects when it has ended. Resolves at a stop. */
  async #listen(): Promise<void> {
    if (this.#subscription === undefined) {
      this.#subscription = await this.#subscribe();
      this.#deps.onReconnected();
    }
    if (this.#stop.signal.aborted) return;
    this.#isUp = true;
    await this.#sendHeartbeats(this.#subscription);
    throw new Error("the notification connection ended");
  }

  #subscribe(): Promise<Subscription> {
    return this.#deps.store.subscribe(this.#deps);
  }

  /** Resolves when the connection has ended. Rejects when it does not answer in time. */
  async #sendHeartbeats(subscription: Subscription): Promise<void> {
    const { roster, clock, heartbeatMs, onHeartbeat } = this.#deps;
    const ended = new AbortController();
    void subscription.ended.then(() => ended.abort());
    while (!ended.signal.aborted) {
      const taken = roster.seq;
      const head = await within(
        NOTIFICATION_ANSWER_MS,
        "the heartbeat of the notification connection",
        subscription.head(),
        clock,
      );
      onHeartbeat(head, taken);
      await clock.sleep(heartbeatMs, ended.signal);
      if (!ended.signal.aborted) this.#failures = 0;
    }
  }
}
