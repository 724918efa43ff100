/**
 * The fan-out moves every connection to the head of the ring.
 *
 * There is no queue per connection: a cursor is all that being behind costs. Version 1 gets
 * one message per transition, version 2 one merged difference for all of them, at most one
 * per interval. Whose peer does not read is passed over, and given up if it never will. It
 * does not know why anything changed.
 *
 * @module
 */
import type { Subscriptions } from "./subscriptions.ts";
import type { Clock } from "../../base/clock.ts";
import {
  type Connection,
  NEEDS_SNAPSHOT,
  type Sync,
} from "../connections/connection.ts";
import { CLIENT_MESSAGES_MAX } from "../../base/limits.ts";
import {
  COUNT_INTERVAL_MS,
  SEND_BUFFER_BYTES_MAX,
  SENDS_PER_LOOK_MAX,
  STATE_USERS_RETURN_SHARE,
} from "./limits.ts";
import type {
  ConnectionObserver,
  Connections,
} from "../connections/connections.ts";
import type { Log } from "../../base/log.ts";
import type { Metrics } from "../../base/metrics.ts";
import { DISCONNECT, type Disconnect } from "../../protocol/disconnect.ts";
import type { UserId } from "../../protocol/user_id.ts";
import { Pump, type Visited } from "./pump.ts";
import type { Change } from "../roster/ring.ts";
import type { Roster } from "../roster/roster.ts";
import { wait } from "./slow_consumer.ts";
import { encodeError, encodeWatching, SyncMessages } from "./sync_messages.ts";

export interface FanoutDeps {
  readonly subscriptions: Subscriptions;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Least time between two differences for a version 2 connection. */
  readonly intervalMs: number;
  /** Users online past which version 2 is told how many instead of who. */
  readonly stateUsersMax: number;
  readonly connections: Pick<Connections, "disconnect">;
}

export class Fanout implements ConnectionObserver {
  readonly #deps: FanoutDeps;
  readonly #texts: SyncMessages;
  readonly #broadcast: Pump;
  readonly #sync: Pump;
  #epoch = 0;
  /** When the oldest of what a version has not been told happened, if somebody speaks it. */
  readonly #newsSince = new Map<1 | 2, number>();

  constructor(deps: FanoutDeps) {
    const { subscriptions, clock, intervalMs, roster, metrics } = deps;
    const delivered = (version: 1 | 2) => {
      const since = this.#newsSince.get(version);
      if (since === undefined) return;
      metrics.delivered(clock.now() - since, version);
      this.#newsSince.delete(version);
    };
    this.#deps = deps;
    this.#texts = new SyncMessages(
      roster,
      (changes) => metrics.merged(changes),
    );
    this.#broadcast = new Pump({
      clock,
      pauseMs: 0,
      begin: () => subscriptions.v1Connections,
      visit: (connection) => this.#tell(connection),
      end: () => delivered(1),
    });
    this.#sync = new Pump({
      clock,
      pauseMs: intervalMs,
      begin: () => {
        this.#texts.begin();
        return subscriptions.pendingConnections();
      },
      visit: (connection) => this.#synchronize(connection),
      end: () => delivered(2),
    });
  }

  opened(connection: Connection): void {
    this.#deps.subscriptions.add(connection);
  }

  ended(connection: Connection): void {
    this.#deps.subscriptions.remove(connection);
  }

  /** The roster moved, by these changes, because of what happened at `since` or later. */
  advanced(
    changes: readonly Change[],
    since = this.#deps.clock.now(),
  ): void {
    const { subscriptions, roster } = this.#deps;
    subscriptions.recordChanges(changes);
    this.#noteNews(1, since, subscriptions.v1Connections.size);
    this.#noteNews(
      2,
      since,
      subscriptions.followers.size + subscriptions.pending.size,
    );
    if (roster.epoch !== this.#epoch) {
      this.#epoch = roster.epoch;
      for (const connection of subscriptions.synced()) {
        connection.cursor = NEEDS_SNAPSHOT;
        subscriptions.markPending(connection);
      }
    }
    this.wake();
  }

  #noteNews(version: 1 | 2, since: number, connections: number): void {
    if (connections === 0 || this.#newsSince.has(version)) return;
    this.#newsSince.set(version, since);
  }

  /** There may be somebody to tell: a connection became live, or watches somebody else. */
  wake(): void {
    this.#broadcast.wake();
    this.#sync.wake();
  }

  /**
   * Tells a version 2 connection what is no news of users, though never before where it stands.
   * A peer that does not read misses it.
   */
  sendControl(connection: Connection, text: string): void {
    const { sync, state } = connection;
    if (sync === undefined || state === "closing" || state === "gone") return;
    if (!sync.hasSnapshot) {
      sync.queuedControl ??= [];
      if (sync.queuedControl.length < CLIENT_MESSAGES_MAX) {
        sync.queuedControl.push(text);
      }
    } else if (connection.bufferedBytes < SEND_BUFFER_BYTES_MAX) {
      this.#send(connection, text);
    }
  }

  /** A sign of life, with the `seq` as of which everything holds that was told. */
  keepAlive(connection: Connection): void {
    const { subscriptions, roster: { ring } } = this.#deps;
    if (connection.sync?.hasSnapshot !== true) return;
    const isTold = connection.sync.watching === undefined
      ? connection.cursor === ring.head
      : !subscriptions.pending.has(connection);
    // Whoever waits for news is not told that there are none.
    if (isTold) this.sendControl(connection, this.#texts.keepalive());
  }

  /**
   * Lets a version 2 connection hear of these users, or of everybody, from now on. It is told
   * where they stand, or, with the cursor of one that resumed, what changed since.
   *
   * @param ref What the client calls its wish by.
   */
  watch(
    connection: Connection,
    ids: ReadonlySet<UserId> | "*",
    { since = NEEDS_SNAPSHOT, ref }: {
      since?: number;
      ref?: number | undefined;
    } = {},
  ): "watching" | "full" {
    const { subscriptions, roster: { ring } } = this.#deps;
    if (ids === "*") subscriptions.follow(connection);
    else if (subscriptions.watch(connection, ids) === "full") return "full";
    if (connection.sync !== undefined) {
      connection.sync.isCounting = false;
      connection.sync.ref = ref;
    }
    connection.cursor = since;
    if (since !== NEEDS_SNAPSHOT) {
      for (let at = since; at < ring.head; at++) {
        subscriptions.recordChange(connection, ring.at(at));
      }
    }
    this.wake();
    return "watching";
  }

  async stop(): Promise<void> {
    await Promise.all([this.#broadcast.stop(), this.#sync.stop()]);
  }

  /** Version 1: every transition of others, one message for each. */
  #tell(connection: Connection): Visited {
    const { ring } = this.#deps.roster;
    if (connection.state !== "live") return "idle";
    if (connection.cursor < ring.tail) {
      this.#dropSlowConsumer(connection, DISCONNECT.slowConsumerBehind);
      return "idle";
    }
    if (connection.cursor === ring.head) return "idle";
    if (connection.bufferedBytes >= SEND_BUFFER_BYTES_MAX) {
      return this.#defer(connection);
    }
    connection.stalled = undefined;
    const end = Math.min(ring.head, connection.cursor + SENDS_PER_LOOK_MAX);
    for (; connection.cursor < end; connection.cursor += 1) {
      const change = ring.at(connection.cursor);
      if (
        change.userId !== connection.userId &&
        this.#send(connection, change.message) === "failed"
      ) return "idle";
    }
    return end < ring.head ? "continue" : "idle";
  }

  /** Version 2: where the connection stands now, in one message. */
  #synchronize(connection: Connection): Visited {
    const { sync } = connection;
    if (sync === undefined || connection.state !== "live") return "idle";
    if (!this.#isBehind(connection, sync)) return "idle";
    // Whatever is said later says it all, so nothing is put behind what is still unsent.
    if (connection.bufferedBytes > 0) return this.#defer(connection);
    connection.stalled = undefined;
    if (sync.ref !== undefined) {
      this.#send(connection, encodeWatching(sync.ref));
      sync.ref = undefined;
    }
    const visit = sync.watching !== undefined
      ? this.#tellWatched(connection, sync)
      : this.#areTooMany(sync)
      ? this.#tellCount(connection, sync)
      : this.#tellAll(connection, sync);
    if (sync.queuedControl !== undefined && sync.hasSnapshot) {
      for (const text of sync.queuedControl) this.#send(connection, text);
      sync.queuedControl = undefined;
    }
    return visit;
  }

  #isBehind(connection: Connection, sync: Sync): boolean {
    return sync.watching !== undefined || !sync.hasSnapshot ||
      connection.cursor < this.#texts.head;
  }

  #areTooMany(sync: Sync): boolean {
    const { roster, stateUsersMax } = this.#deps;
    const share = sync.isCounting ? STATE_USERS_RETURN_SHARE : 1;
    return roster.size > stateUsersMax * share;
  }

  #tellAll(connection: Connection, sync: Sync): Visited {
    const { ring } = this.#deps.roster;
    if (sync.isCounting) {
      sync.isCounting = false;
      connection.cursor = NEEDS_SNAPSHOT;
    }
    if (connection.cursor < ring.tail) {
      connection.cursor = ring.head;
      sync.hasSnapshot = true;
      this.#send(connection, this.#texts.state());
      return "idle";
    }
    // It resumed after this pass began; the next one is on its way.
    if (connection.cursor > this.#texts.head) return "idle";
    const { text, isEmpty } = this.#texts.diff(connection.cursor);
    connection.cursor = this.#texts.head;
    if (!isEmpty || !sync.hasSnapshot) this.#send(connection, text);
    sync.hasSnapshot = true;
    return "idle";
  }

  #tellCount(connection: Connection, sync: Sync): Visited {
    const { clock, roster, stateUsersMax } = this.#deps;
    if (!sync.isCounting) {
      sync.isCounting = sync.hasSnapshot = true;
      const message =
        `more than ${stateUsersMax} users are online: watch those you need to know of; until then you are told how many there are`;
      this.#send(connection, encodeError("too_many_online", message));
    } else if (clock.now() - connection.lastSentAt < COUNT_INTERVAL_MS) {
      return "retry later";
    }
    connection.cursor = roster.ring.head;
    this.#send(connection, this.#texts.count());
    return "idle";
  }

  #tellWatched(connection: Connection, sync: Sync): Visited {
    const { subscriptions, roster: { ring } } = this.#deps;
    const { watching } = sync;
    if (watching === undefined) return "idle";
    if (connection.cursor === NEEDS_SNAPSHOT) {
      this.#send(connection, this.#texts.watchedState(watching));
    } else {
      const { text, isEmpty } = this.#texts.watchedDiff(watching);
      if (!isEmpty || !sync.hasSnapshot) this.#send(connection, text);
    }
    connection.cursor = ring.head;
    sync.hasSnapshot = true;
    watching.changed.clear();
    subscriptions.pending.delete(connection);
    return "idle";
  }

  #send(connection: Connection, text: string): "sent" | "failed" {
    const { clock, log, connections } = this.#deps;
    try {
      connection.send(text);
      if (connection.sync !== undefined) connection.lastSentAt = clock.now();
      return "sent";
    } catch (err) {
      const { userId } = connection;
      log.warn({ userId, err }, "cannot send to a connection");
      connections.disconnect(connection, DISCONNECT.sendFailed);
      return "failed";
    }
  }

  /** The peer does not read. It costs its full buffer, and only for so long. */
  #defer(connection: Connection): Visited {
    if (wait(connection, this.#deps.clock.now()) === "waiting") {
      return "retry later";
    }
    this.#dropSlowConsumer(connection, DISCONNECT.slowConsumerStopped);
    return "idle";
  }

  #dropSlowConsumer(connection: Connection, why: Disconnect): void {
    const { log, metrics, connections } = this.#deps;
    metrics.slowConsumerDropped();
    const { userId } = connection;
    log.info({ userId, reason: why.reason }, "disconnected a slow consumer");
    connections.disconnect(connection, why);
  }
}
