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
import type { Audience } from "./audience.ts";
import type { Clock } from "../../base/clock.ts";
import {
  type Connection,
  type Sync,
  UNTOLD,
} from "../connections/connection.ts";
import {
  CLIENT_MESSAGES_MAX,
  COUNT_INTERVAL_MS,
  SEND_BUFFER_BYTES_MAX,
  SENDS_PER_LOOK_MAX,
  STATE_USERS_RETURN_SHARE,
} from "../../base/limits.ts";
import type {
  ConnectionObserver,
  Connections,
} from "../connections/connections.ts";
import type { Log } from "../../base/log.ts";
import type { Measure } from "../../base/measure.ts";
import { CLOSE, type UserId } from "../../protocol/protocol.ts";
import { Pump, type Visited } from "./pump.ts";
import type { Change } from "../roster/ring.ts";
import type { Roster } from "../roster/roster.ts";
import { wait } from "./slow_reader.ts";
import { encodeError, encodeWatching, SyncTexts } from "./sync_messages.ts";

export interface FanoutParts {
  readonly audience: Audience;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly log: Log;
  readonly measure: Measure;
  /** Least time between two differences for a version 2 connection. */
  readonly intervalMs: number;
  /** Users online past which version 2 is told how many instead of who. */
  readonly stateUsersMax: number;
  readonly connections: Pick<Connections, "disconnect">;
}

export class Fanout implements ConnectionObserver {
  readonly #parts: FanoutParts;
  readonly #texts: SyncTexts;
  readonly #broadcast: Pump;
  readonly #sync: Pump;
  #generation = 0;
  /** When the oldest of what a version has not been told happened, if somebody speaks it. */
  readonly #newsSince = new Map<1 | 2, number>();

  constructor(parts: FanoutParts) {
    const { audience, clock, intervalMs, roster, measure } = parts;
    const announced = (version: 1 | 2) => {
      const since = this.#newsSince.get(version);
      if (since === undefined) return;
      measure.announced(clock.now() - since, version);
      this.#newsSince.delete(version);
    };
    this.#parts = parts;
    this.#texts = new SyncTexts(roster, (changes) => measure.merged(changes));
    this.#broadcast = new Pump({
      clock,
      pauseMs: 0,
      begin: () => audience.listeners,
      visit: (connection) => this.#tell(connection),
      end: () => announced(1),
    });
    this.#sync = new Pump({
      clock,
      pauseMs: intervalMs,
      begin: () => {
        this.#texts.begin();
        return audience.expectant();
      },
      visit: (connection) => this.#synchronize(connection),
      end: () => announced(2),
    });
  }

  opened(connection: Connection): void {
    this.#parts.audience.add(connection);
  }

  ended(connection: Connection): void {
    this.#parts.audience.remove(connection);
  }

  /** The roster moved, by these changes, because of what happened at `since` or later. */
  advanced(
    changes: readonly Change[],
    since = this.#parts.clock.now(),
  ): void {
    const { audience, roster } = this.#parts;
    audience.note(changes);
    this.#noteNews(1, since, audience.listeners.size);
    this.#noteNews(2, since, audience.followers.size + audience.called.size);
    if (roster.generation !== this.#generation) {
      this.#generation = roster.generation;
      for (const connection of audience.synced()) {
        connection.cursor = UNTOLD;
        audience.call(connection);
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
  say(connection: Connection, text: string): void {
    const { sync, state } = connection;
    if (sync === undefined || state === "closing" || state === "gone") return;
    if (!sync.isAnswered) {
      sync.unsaid ??= [];
      if (sync.unsaid.length < CLIENT_MESSAGES_MAX) sync.unsaid.push(text);
    } else if (connection.bufferedBytes < SEND_BUFFER_BYTES_MAX) {
      this.#send(connection, text);
    }
  }

  /** A sign of life, with the `seq` as of which everything holds that was told. */
  keepAlive(connection: Connection): void {
    const { audience, roster: { ring } } = this.#parts;
    if (connection.sync?.isAnswered !== true) return;
    const isTold = connection.sync.watching === undefined
      ? connection.cursor === ring.head
      : !audience.called.has(connection);
    // Whoever waits for news is not told that there are none.
    if (isTold) this.say(connection, this.#texts.keepalive());
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
    { since = UNTOLD, ref }: { since?: number; ref?: number | undefined } = {},
  ): "watching" | "full" {
    const { audience, roster: { ring } } = this.#parts;
    if (ids === "*") audience.follow(connection);
    else if (audience.watch(connection, ids) === "full") return "full";
    if (connection.sync !== undefined) {
      connection.sync.isCounting = false;
      connection.sync.ref = ref;
    }
    connection.cursor = since;
    if (since !== UNTOLD) {
      for (let at = since; at < ring.head; at++) {
        audience.noteWith(connection, ring.at(at));
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
    const { ring } = this.#parts.roster;
    if (connection.state !== "live") return "done";
    if (connection.cursor < ring.tail) {
      this.#giveUp(connection, "fell too far behind");
      return "done";
    }
    if (connection.cursor === ring.head) return "done";
    if (connection.bufferedBytes >= SEND_BUFFER_BYTES_MAX) {
      return this.#stall(connection);
    }
    connection.stalled = undefined;
    const end = Math.min(ring.head, connection.cursor + SENDS_PER_LOOK_MAX);
    for (; connection.cursor < end; connection.cursor += 1) {
      const change = ring.at(connection.cursor);
      if (
        change.userId !== connection.userId &&
        this.#send(connection, change.message) === "failed"
      ) return "done";
    }
    return end < ring.head ? "more" : "done";
  }

  /** Version 2: where the connection stands now, in one message. */
  #synchronize(connection: Connection): Visited {
    const { sync } = connection;
    if (sync === undefined || connection.state !== "live") return "done";
    if (!this.#isBehind(connection, sync)) return "done";
    // Whatever is said later says it all, so nothing is put behind what is still unsent.
    if (connection.bufferedBytes > 0) return this.#stall(connection);
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
    if (sync.unsaid !== undefined && sync.isAnswered) {
      for (const text of sync.unsaid) this.#send(connection, text);
      sync.unsaid = undefined;
    }
    return visit;
  }

  #isBehind(connection: Connection, sync: Sync): boolean {
    return sync.watching !== undefined || !sync.isAnswered ||
      connection.cursor < this.#texts.head;
  }

  #areTooMany(sync: Sync): boolean {
    const { roster, stateUsersMax } = this.#parts;
    const share = sync.isCounting ? STATE_USERS_RETURN_SHARE : 1;
    return roster.size > stateUsersMax * share;
  }

  #tellAll(connection: Connection, sync: Sync): Visited {
    const { ring } = this.#parts.roster;
    if (sync.isCounting) {
      sync.isCounting = false;
      connection.cursor = UNTOLD;
    }
    if (connection.cursor < ring.tail) {
      connection.cursor = ring.head;
      sync.isAnswered = true;
      this.#send(connection, this.#texts.state());
      return "done";
    }
    // It resumed after this pass began; the next one is on its way.
    if (connection.cursor > this.#texts.head) return "done";
    const { text, isEmpty } = this.#texts.diff(connection.cursor);
    connection.cursor = this.#texts.head;
    if (!isEmpty || !sync.isAnswered) this.#send(connection, text);
    sync.isAnswered = true;
    return "done";
  }

  #tellCount(connection: Connection, sync: Sync): Visited {
    const { clock, roster, stateUsersMax } = this.#parts;
    if (!sync.isCounting) {
      sync.isCounting = sync.isAnswered = true;
      const message =
        `more than ${stateUsersMax} users are online: watch those you need to know of; until then you are told how many there are`;
      this.#send(connection, encodeError("too_many_online", message));
    } else if (clock.now() - connection.toldAt < COUNT_INTERVAL_MS) {
      return "again";
    }
    connection.cursor = roster.ring.head;
    this.#send(connection, this.#texts.count());
    return "done";
  }

  #tellWatched(connection: Connection, sync: Sync): Visited {
    const { audience, roster: { ring } } = this.#parts;
    const { watching } = sync;
    if (watching === undefined) return "done";
    if (connection.cursor === UNTOLD) {
      this.#send(connection, this.#texts.watchedState(watching));
    } else {
      const { text, isEmpty } = this.#texts.watchedDiff(watching);
      if (!isEmpty || !sync.isAnswered) this.#send(connection, text);
    }
    connection.cursor = ring.head;
    sync.isAnswered = true;
    watching.changed.clear();
    audience.called.delete(connection);
    return "done";
  }

  #send(connection: Connection, text: string): "sent" | "failed" {
    const { clock, log, connections } = this.#parts;
    try {
      connection.send(text);
      if (connection.sync !== undefined) connection.toldAt = clock.now();
      return "sent";
    } catch (err) {
      const { userId } = connection;
      log.warn({ userId, err }, "cannot send to a connection");
      connections.disconnect(connection, CLOSE.internal, "send failed");
      return "failed";
    }
  }

  /** The peer does not read. It costs its full buffer, and only for so long. */
  #stall(connection: Connection): Visited {
    if (wait(connection, this.#parts.clock.now()) === "waiting") return "again";
    this.#giveUp(connection, "reads too slowly");
    return "done";
  }

  #giveUp(connection: Connection, reason: string): void {
    const { log, measure, connections } = this.#parts;
    measure.gaveUp();
    log.info({ userId: connection.userId, reason }, "gave up a slow reader");
    connections.disconnect(connection, CLOSE.overloaded, reason);
  }
}
