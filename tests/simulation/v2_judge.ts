/**
 * The judge of a version 2 client: its copy at each `seq`, from who sees whom alone.
 *
 * The client compares its copy with `viewAt` after every message that changes it. This file adds what
 * a copy does not show: a name of somebody who was never in sight, a number that counts others, and a
 * message for which the viewer has seen no reason.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { Judge, Message, Scope } from "../support/sim_client.ts";
import type { Visibility } from "./visibility.ts";

export interface V2JudgeDeps {
  readonly visibility: Visibility;
  /** Whether its node takes one row after another, and never a snapshot instead. */
  readonly isWhole: () => boolean;
  /** Whether the ring of its node has room for every row. */
  readonly keepsAll: boolean;
  /** Whether a user ever had this name. */
  readonly wasName: (userId: UserId, username: string) => boolean;
  /** Users in sight above which the client gets their number. */
  readonly stateUsersMax: number;
}

/** The share of `stateUsersMax` below which a state replaces the counts. */
const RETURN_SHARE = 0.9;

export class V2Judge implements Judge {
  readonly #viewer: UserId;
  /** The oldest `seq` of which the client may hear something. */
  readonly #since: number;
  readonly #deps: V2JudgeDeps;
  #seq: number;
  #scope: Scope;
  /** What the next state answers. */
  #reason: "connected" | "watched" | "counted" | undefined = "connected";
  #isTooMany = false;

  constructor(
    viewer: UserId,
    { since, scope }: { readonly since: number; readonly scope: Scope },
    deps: V2JudgeDeps,
  ) {
    this.#viewer = viewer;
    this.#since = since;
    this.#seq = since;
    this.#scope = scope;
    this.#deps = deps;
  }

  viewAt(seq: number): UserId[] {
    return this.#deps.visibility.present.visibleTo(this.#viewer, seq);
  }

  receive(message: Message, scope: Scope): void {
    switch (message.type) {
      case "watching":
        this.#reason = "watched";
        this.#scope = scope;
        return;
      case "presence_state": {
        const { seq, users } = message;
        const ids = users.map(({ id }) => id);
        this.#checkNamed(ids, "a state");
        this.#checkNames(users);
        this.#checkReason(seq);
        const { visibility } = this.#deps;
        ok(
          visibility.couldSeeAll(
            this.#viewer,
            seq,
            ids,
            (id) => this.#scope === "*" || this.#scope.has(id),
          ),
          `[V2] a state to ${this.#viewer} at ${seq} has ${ids}`,
        );
        if (this.#scope === "*") {
          ok(users.length <= this.#deps.stateUsersMax, "[V2] too many users");
        }
        break;
      }
      case "presence_diff": {
        const { online, offline } = message;
        this.#checkNamed([...online.map(({ id }) => id), ...offline], "a diff");
        this.#checkNames(online);
        const isFirst = this.#reason === "connected";
        const isEmpty = online.length + offline.length === 0;
        ok(!isEmpty || isFirst, "[V1] an empty diff shows that others changed");
        break;
      }
      case "presence_count":
        return this.#checkCount(message.seq, message.online);
      case "error":
        this.#isTooMany ||= message.code === "too_many_online";
        return;
      case "keepalive":
        this.#seq = message.seq;
        return;
      default:
        ok(false, `[V2] unexpected ${message.type}`);
    }
    ok(!this.#isTooMany, "[V2] a number follows the error");
    this.#reason = undefined;
    this.#seq = message.seq;
  }

  #checkNamed(ids: readonly UserId[], title: string): void {
    const { visibility } = this.#deps;
    const { present } = visibility;
    const [viewer, since] = [this.#viewer, this.#since];
    for (const id of ids) {
      ok(
        visibility.isOnly
          ? present.wasVisible(viewer, id, since)
          : visibility.couldEverSee(viewer, id, since),
        `[V1] ${title} to ${viewer} names ${id}, who was never in sight`,
      );
    }
  }

  #checkNames(users: readonly { id: UserId; username: string }[]): void {
    for (const { id, username } of users) {
      const wasName = this.#deps.wasName(id, username);
      ok(wasName, `[V2] ${id} never had the name ${username}`);
    }
  }

  /** A state comes in answer to the client, or because its own groups changed. */
  #checkReason(seq: number): void {
    const { isWhole, keepsAll } = this.#deps;
    if (this.#reason !== undefined || !keepsAll || !isWhole()) return;
    const viewer = this.#viewer;
    const isOwn = this.#deps.visibility.present.feed.some((row) =>
      row.userId === viewer && row.seq > this.#seq && row.seq <= seq
    );
    ok(isOwn, `[V1] a state to ${viewer} at ${seq} for no reason`);
  }

  #checkCount(seq: number, online: number): void {
    const { visibility, stateUsersMax } = this.#deps;
    const share = this.#isTooMany ? 1 : RETURN_SHARE;
    ok(online > stateUsersMax * share, `[V2] ${online} are too few to count`);
    const visible = this.viewAt(seq).length;
    if (visibility.isOnly) equal(online, visible, "[V1] users in sight");
    this.#isTooMany = false;
    this.#reason = "counted";
    this.#seq = seq;
  }
}
