/**
 * The judge of a version 1 client: what it must hear of others, from who sees whom alone.
 *
 * Version 1 has no `seq`. But the feed decides every message: at each row some users come into
 * sight of the viewer, and others go out of it. That is one message each, in the order of the rows.
 *
 * Before its own first row the viewer has no groups. It may have read the list of its users by
 * then, so it hears of these users from the moment at which it connected.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";
import type {
  Status,
  UserStatusBroadcast,
} from "../../src/client/protocol/messages.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { Judge, Message } from "../support/sim_client.ts";
import type { Groups, Past, Visibility } from "./visibility.ts";

export interface V1JudgeDeps {
  readonly visibility: Visibility;
  /** Whether its node takes one row after another, and never a snapshot instead. */
  readonly isWhole: () => boolean;
  readonly compareIds: (a: UserId, b: UserId) => number;
}

export class V1Judge implements Judge {
  readonly #viewer: UserId;
  readonly #openedSeq: number;
  readonly #deps: V1JudgeDeps;
  /** The last message about each user. */
  readonly #heard = new Map<UserId, Status>();
  /** Rows of the feed whose messages have come, or are due. */
  #rows: number;
  /** Messages that are due at the last of these rows, in any order. */
  #due = new Map<UserId, Status>();

  constructor(viewer: UserId, openedSeq: number, deps: V1JudgeDeps) {
    this.#viewer = viewer;
    this.#openedSeq = openedSeq;
    this.#deps = deps;
    this.#rows = this.#past.indexOf(openedSeq);
  }

  receive(message: Message): void {
    const { type, userId } = message as UserStatusBroadcast;
    const status = STATUS_OF[type];
    ok(status !== undefined, `[V2] unexpected ${type}`);
    const viewer = this.#viewer;
    const title = `${status} of ${userId} to ${viewer}`;
    ok(userId !== viewer, `[V2] ${title}`);
    const heard = this.#heard.get(userId);
    ok(heard !== status, `[V2] ${title} twice`);
    this.#heard.set(userId, status);
    const past = this.#past;
    const { visibility, isWhole } = this.#deps;
    const wasVisible = this.#knowsGroups(past)
      ? this.#wasVisible(past, userId)
      : visibility.couldEverSee(viewer, userId, this.#openedSeq);
    const isNews = heard === undefined || status === "online";
    ok(wasVisible || !isNews, `[V1] ${title}, who was never in sight`);
    if (!isWhole()) return;
    this.#findDue(past);
    equal(this.#due.get(userId), status, `[V2] ${title} is not due`);
    this.#due.delete(userId);
  }

  /** Every message that is due has come. */
  end(): void {
    const past = this.#past;
    if (this.#deps.isWhole()) {
      this.#findDue(past);
      equal([...this.#due].join(), "", `[V2] due to ${this.#viewer}`);
      return;
    }
    const visible = past.visibleTo(this.#viewer, Infinity);
    for (const [id, status] of this.#heard) {
      const title = `[V2] ${this.#viewer} knows that ${id} is ${status}`;
      equal(status === "online", visible.includes(id), title);
    }
    if (!this.#deps.visibility.isOnly) return;
    const known = this.#startsOf(past).map((seen) => this.#knownFrom(seen));
    ok(
      known.some((users) => String(users) === String(visible)),
      `[V2] ${this.#viewer} sees ${visible}, but knows ${known.join(" or ")}`,
    );
  }

  /**
   * The lists that the viewer may have had when it connected. A node that takes a snapshot may never
   * see the first groups of a viewer who came online after that.
   */
  #startsOf(past: Past): UserId[][] {
    const [viewer, seq] = [this.#viewer, this.#openedSeq];
    const groups = past.groupsOf(viewer, seq);
    const all = groups !== undefined ? [groups] : past.groupsSince(viewer, seq);
    return all.map((groups) => past.visibleFrom(viewer, groups, seq));
  }

  /** The users whom the viewer knows to be online, itself included, ids ascending. */
  #knownFrom(start: readonly UserId[]): UserId[] {
    const online = new Set([...start, this.#viewer]);
    for (const [id, status] of this.#heard) {
      if (status === "online") online.add(id);
      else online.delete(id);
    }
    return [...online].sort(this.#deps.compareIds);
  }

  get #past(): Past {
    return this.#deps.visibility.present;
  }

  /** Goes on to the next row at which a message is due, unless one is due already. */
  #findDue(past: Past): void {
    while (this.#due.size === 0 && this.#rows < past.feed.length) {
      const { seq = 0 } = past.feed[this.#rows] ?? {};
      const before = this.#viewOf(past, seq - 1);
      const after = this.#viewOf(past, seq);
      this.#due = new Map([
        ...after.filter((id) => !before.includes(id))
          .map((id) => [id, "online"] as const),
        ...before.filter((id) => !after.includes(id))
          .map((id) => [id, "offline"] as const),
      ]);
      this.#due.delete(this.#viewer);
      this.#rows += 1;
    }
  }

  /**
   * Whether its node knows all groups that the viewer had. A node that takes a snapshot without the
   * viewer goes on with older ones, until the viewer is online again.
   */
  #knowsGroups(past: Past): boolean {
    const { visibility, isWhole } = this.#deps;
    const hasLeft = past.feed.some((row) =>
      row.userId === this.#viewer && row.seq > this.#openedSeq &&
      row.status === "offline"
    );
    return visibility.isOnly && (isWhole() || !hasLeft);
  }

  /** Whether the viewer saw a user at some moment since it connected. */
  #wasVisible(past: Past, userId: UserId): boolean {
    const rows = past.feed.slice(past.indexOf(this.#openedSeq));
    return [this.#openedSeq, ...rows.map(({ seq }) => seq)]
      .some((seq) => this.#viewOf(past, seq).includes(userId));
  }

  #viewOf(past: Past, seq: number): UserId[] {
    const viewer = this.#viewer;
    return past.visibleFrom(viewer, this.#groupsAt(past, seq), seq);
  }

  #groupsAt(past: Past, seq: number): Groups | undefined {
    const viewer = this.#viewer;
    const groups = past.groupsOfViewer(viewer, seq);
    const opened = past.groupsOf(viewer, this.#openedSeq);
    if (opened !== undefined) return groups;
    const first = past.firstOnlineAfter(viewer, this.#openedSeq);
    if (first === undefined || seq >= first.seq) return groups;
    return past.groupsOfViewer(viewer, first.seq);
  }
}

const STATUS_OF: Readonly<Record<string, Status>> = {
  user_online: "online",
  user_offline: "offline",
};
