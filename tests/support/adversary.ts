/**
 * The adversary: a client with a good token that tries every door of the servers to learn of users
 * with whom it shares no group.
 *
 * It does the same whatever the hidden users do, and keeps all that it observes. It may not see
 * whether the hidden world lives, so two runs must give the same.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { query } from "./database.ts";
import { Doors, type Observed, type Tokens, UNSEEN } from "./doors.ts";
import {
  ATTACKER,
  FRIEND,
  HIDDEN,
  type HiddenWorld,
  MANY,
} from "./hidden_world.ts";
import { Tap } from "./tap.ts";

interface Open {
  readonly name: string;
  readonly tap: Tap;
}

export class Adversary implements AsyncDisposable {
  readonly #world: HiddenWorld;
  readonly #doors: Doors;
  readonly #friendToken: string;
  /** Open all the time, on each node. Each receives the changes of the friend. */
  readonly #friendly: readonly Open[];
  /** Open all the time, and without the friend in sight. */
  readonly #others: readonly Open[];
  #steps = 0;
  /** Of the first message to the first tap: before the hidden users did anything. */
  #firstSeq = 0;
  /** One of each time. */
  readonly #seqs: number[] = [];
  #friendSeq: number | undefined;

  private constructor(
    world: HiddenWorld,
    tokens: Tokens,
    friendly: readonly Open[],
    others: readonly Open[],
  ) {
    this.#world = world;
    this.#doors = new Doors(tokens);
    this.#friendToken = tokens.friend;
    this.#friendly = friendly;
    this.#others = others;
  }

  static async start(world: HiddenWorld): Promise<Adversary> {
    const older = await world.tokenOf(ATTACKER);
    await world.setGroups(ATTACKER, ["seen"]);
    const own = await world.tokenOf(ATTACKER);
    const friend = await world.tokenOf(FRIEND);
    const hidden = await world.tokenOf(HIDDEN);
    const many = await world.tokenOf(MANY[0] ?? 0);
    const friendly: Open[] = [];
    const others: Open[] = [];
    for (const [node, { url }] of world.nodes.entries()) {
      const on = (name: string) => `${name} on node ${node}`;
      const version2 = new Tap(url, own);
      // The first state has everybody in sight, and later ones are diffs of it.
      await version2.receives("presence_state");
      friendly.push(
        { name: on("version 2"), tap: version2 },
        { name: on("version 1"), tap: new Tap(url, own, { version: 1 }) },
        {
          name: on("a watcher of unseen users and the friend"),
          tap: new Tap(url, own, { query: `watch=${[...UNSEEN, FRIEND]}` }),
        },
      );
      others.push(
        {
          name: on("a watcher of unseen users"),
          tap: new Tap(url, own, { query: `watch=${UNSEEN}` }),
        },
        { name: on("one who gets counts"), tap: new Tap(url, many) },
      );
    }
    await Promise.all([...friendly, ...others].map(({ tap }) => {
      // Version 1 gets every change from the handshake on, and nothing at first.
      return tap.receives(tap.version === 1 ? "open" : "seq");
    }));
    const adversary = new Adversary(
      world,
      { own, older, friend, hidden, many },
      friendly,
      others,
    );
    adversary.#firstSeq = friendly[0]?.tap.seq ?? 0;
    return adversary;
  }

  /** Tries every door, of one node after the other. */
  async tryDoors(): Promise<Observed> {
    const url = this.#world.urlOf(this.#steps++);
    const friend = await this.#flush(url);
    const before = this.#events();
    const last = Math.max(...this.#friendly.map(({ tap }) => tap.seq));
    const seqs = { first: this.#firstSeq, last };
    this.#seqs.push(last);
    const doors = await this.#doors.tryAll(url, seqs);
    // What the adversary does itself causes no message to its other sockets.
    deepEqual(this.#events(), before);
    return { ...friend, ...doors };
  }

  /**
   * Comes into the group of the hidden users when all of them have left it, and resumes from each
   * time before. It shares a group with none of them at any time.
   */
  async comeTooLate(): Promise<Observed> {
    const { source, databaseUrl } = this.#world;
    const observed: Observed = {};
    const moved = this.#friendly.filter(({ tap }) => tap.version === 2)
      .map(({ tap }) => ({ tap, seen: tap.events.length }));
    await this.#world.setGroups(ATTACKER, ["hidden", "seen"]);
    const token = await this.#world.tokenOf(ATTACKER);
    if (source === "JWT_GROUPS_CLAIM") {
      moved[0]?.tap.send({ type: "refresh", token });
    } else {
      const sql = `select rollcall.groups_changed(array[${ATTACKER}])`;
      await query(databaseUrl, sql);
    }
    await Promise.all(
      moved.map(({ tap, seen }) => tap.receives("presence_state", seen)),
    );
    for (const [at, seq] of this.#seqs.entries()) {
      const url = this.#world.urlOf(at);
      const seen = await this.#doors.open(url, `since=${seq}`, token);
      observed[`resumed from time ${at}`] = seen;
    }
    return observed;
  }

  /** Closes all sockets, and returns all that came over those that were open all the time. */
  async end(): Promise<Observed> {
    const taps = [...this.#friendly, ...this.#others];
    await Promise.all(taps.map(({ tap }) => tap[Symbol.asyncDispose]()));
    return this.#events();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  #events(): Observed {
    const taps = [...this.#friendly, ...this.#others];
    return Object.fromEntries(
      taps.map(({ name, tap }) => [name, tap.observed]),
    );
  }

  /**
   * What the hidden users have caused so far was sent before what the friend causes now: a
   * connection gets changes in their order. The friend comes back with its own `seq`, so it resumes
   * over a gap in which it was offline.
   */
  async #flush(url: string): Promise<Observed> {
    const query = this.#friendSeq === undefined
      ? ""
      : `since=${this.#friendSeq}`;
    const afterwards = async (sign: string, act: () => unknown) => {
      const seen = this.#friendly.map(({ tap }) => tap.events.length);
      await act();
      await Promise.all(
        this.#friendly.map(({ tap }, at) => tap.receives(sign, seen[at])),
      );
    };
    let friend: Tap | undefined;
    await afterwards("online", async () => {
      friend = new Tap(url, this.#friendToken, { query });
      await friend.receives("seq");
    });
    await afterwards("offline", () => friend?.[Symbol.asyncDispose]());
    this.#friendSeq = friend?.seq;
    await Promise.all(
      this.#others.map(({ tap }) =>
        tap.asks({ type: "ping" }, "keepalive").catch(() => {})
      ),
    );
    return { "the friend, after a gap": friend?.observed };
  }
}
