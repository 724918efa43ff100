/**
 * The broadcast delivers changes to version 1: one message for each user who comes into sight or
 * goes out of it, in the order of the ring.
 *
 * A change holds its messages as text, made once for all connections. The broadcast does not
 * know version 2.
 *
 * @module
 */
import { DISCONNECT } from "../../client/protocol/disconnect.ts";
import { encodeStatus, type Status } from "../../client/protocol/messages.ts";
import type { UserId } from "../../client/protocol/user_id.ts";
import type { Sighting } from "../roster/change.ts";
import type { Ring } from "../roster/ring.ts";
import type { View } from "../roster/view.ts";
import {
  QUEUED_MESSAGES_MAX,
  SEND_BUFFER_BYTES_MAX,
  SENDS_PER_VISIT_MAX,
} from "./limits.ts";
import type { Visited } from "../../base/pump.ts";
import type { Sender } from "./sender.ts";
import type { V1Subscriber } from "./subscriber.ts";

/** What changes are to a view, from a position up to another one. */
interface Read {
  readonly view: View;
  readonly cursor: number;
  readonly head: number;
  readonly sightings: readonly Sighting[];
  /** The position after the changes. */
  readonly end: number;
}

export class Broadcast {
  readonly #ring: Ring;
  readonly #sender: Sender;
  /** What was read last. Most subscribers of an audience are at the same cursor. */
  #read: Read | undefined;
  /** Messages in the queues of all subscribers. */
  #queued = 0;
  /** What was queued since the last pass began. */
  readonly #texts = {
    online: new Map<UserId, string>(),
    offline: new Map<UserId, string>(),
  };

  constructor(ring: Ring, sender: Sender) {
    this.#ring = ring;
    this.#sender = sender;
  }

  beginPass(): void {
    this.#texts.online.clear();
    this.#texts.offline.clear();
  }

  /** Sends what is queued, then the changes from the subscriber's cursor on, and moves the cursor behind them. */
  visit(subscriber: V1Subscriber): Visited {
    const sender = this.#sender;
    const { connection, audience, cursor, queue } = subscriber;
    if (connection.state !== "live" || audience === undefined) return "idle";
    const { view } = audience;
    if (!view.reachesBackTo(cursor)) {
      // Version 1 has no snapshot that could close the gap.
      sender.dropSlowConsumer(connection, DISCONNECT.slowConsumerBehind);
      return "idle";
    }
    if (queue.length === 0 && cursor >= view.end) return "idle";
    if (connection.bufferedBytes >= SEND_BUFFER_BYTES_MAX) {
      return sender.defer(subscriber);
    }
    subscriber.stall = undefined;
    const messages = queue.splice(0, SENDS_PER_VISIT_MAX);
    this.#queued -= messages.length;
    for (const message of messages) {
      if (sender.send(connection, message) === "failed") return "idle";
    }
    if (queue.length > 0) return "continue";
    const { sightings, end } = this.#readFrom(view, cursor);
    subscriber.cursor = end;
    for (const sighting of sightings) {
      if (!subscriber.concerns(sighting)) continue;
      if (sender.send(connection, sighting.message) === "failed") return "idle";
    }
    return end < this.#ring.head ? "continue" : "idle";
  }

  /**
   * The user is in other groups from now on. What it saw until now is queued, then who went out of
   * its sight and who came into it. A connection for which there is no room is dropped at its next visit.
   */
  changeView(subscriber: V1Subscriber, from: View, to: View): void {
    const { cursor, connection: { userId } } = subscriber;
    const room = QUEUED_MESSAGES_MAX - this.#queued;
    const hasRoom = !from.isLargerThan(room) && !to.isLargerThan(room);
    if (!hasRoom || !from.reachesBackTo(cursor)) {
      // No view reaches back to this.
      subscriber.cursor = -1;
      return;
    }
    for (const change of from.changesFrom(cursor)) {
      if (!subscriber.concerns(change)) continue;
      const sighting = from.sightingOf(change);
      if (sighting !== undefined) this.#queue(subscriber, sighting.message);
    }
    for (const id of from.ids()) {
      if (id === userId || to.has(id)) continue;
      this.#queue(subscriber, this.#textOf(id, "offline"));
    }
    for (const id of to.ids()) {
      if (id === userId || from.has(id)) continue;
      this.#queue(subscriber, this.#textOf(id, "online"));
    }
    subscriber.cursor = this.#ring.head;
  }

  /** The connection has ended. */
  ended({ queue }: V1Subscriber): void {
    this.#queued -= queue.length;
    queue.length = 0;
  }

  #queue({ queue }: V1Subscriber, message: string): void {
    queue.push(message);
    this.#queued += 1;
  }

  /** One text for all connections that see the user come or go now. */
  #textOf(userId: UserId, status: Status): string {
    const texts = this.#texts[status];
    const known = texts.get(userId);
    if (known !== undefined) return known;
    const text = encodeStatus(userId, status);
    texts.set(userId, text);
    return text;
  }

  #readFrom(view: View, cursor: number): Read {
    const { head } = this.#ring;
    const last = this.#read;
    if (last?.view === view && last.cursor === cursor && last.head === head) {
      return last;
    }
    const changes = view.changesFrom(cursor, SENDS_PER_VISIT_MAX);
    const isAll = changes.length < SENDS_PER_VISIT_MAX;
    const end = isAll ? head : (changes.at(-1)?.position ?? cursor) + 1;
    const sightings = changes.flatMap((change) =>
      view.sightingOf(change) ?? []
    );
    return this.#read = { view, cursor, head, sightings, end };
  }
}
