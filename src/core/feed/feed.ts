/**
 * The feed brings the store's transitions to the roster, in order and without holes.
 *
 * Transitions come from this node's own commits, which are applied at once when they are
 * next in order, and from reading the log whenever it is known to reach further than the
 * roster. A notification only says that there is something to read; losing one is noticed
 * by a heartbeat on the listening connection. It does not know who is told.
 *
 * @module
 */
import { type Clock, retryMs, within } from "../../base/clock.ts";
import { readHistory } from "./history.ts";
import { FEED_READ_ROWS_MAX, LOST_SEQS_MARGIN } from "./limits.ts";
import { LISTENER_ANSWER_MS } from "../../base/limits.ts";
import type { Log } from "../../base/log.ts";
import { UsernameRefresh } from "./username_refresh.ts";
import { messageOf } from "../../base/message_of.ts";
import type { Change } from "../roster/ring.ts";
import type { Roster } from "../roster/roster.ts";
import type { Store, Subscription, Transition } from "../store/store.ts";

export interface FeedDeps {
  readonly store: Pick<
    Store,
    "readFeed" | "snapshot" | "subscribe" | "skipTo"
  >;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly log: Log;
  readonly heartbeatMs: number;
  /** The roster moved, by these changes, because of what happened at `since` or later. */
  readonly onAdvance: (changes: readonly Change[], since: number) => void;
  /** An order was given; the same link tells of it. */
  readonly onRevoked: () => void;
  /** After a doubt: where a claim made no transition, the log does not tell of its loss. */
  readonly recheckClaims: () => Promise<void>;
}

/**
 * - `starting`: no roster yet.
 * - `listening`: growth of the feed reaches us as it happens.
 * - `broken`: there is no listening connection; the roster is as of its `seq`, and waits.
 */
type FeedState = "starting" | "listening" | "broken";

export class Feed {
  readonly #deps: FeedDeps;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  #state: FeedState = "starting";
  #subscription: Subscription | undefined;
  #following: Promise<void> | undefined;
  #reading: Promise<void> | undefined;
  /** Who waits for a read that begins after they asked. As many as sockets at most. */
  readonly #waiting: ((outcome: "read" | "failed") => void)[] = [];
  readonly #usernameRefresh: UsernameRefresh;
  /** The newest seq that an answer of the store had. */
  #head = 0;
  /** The log may reach further than the roster. */
  #readPending = false;
  /** Reasons to doubt the log: behind a link that was lost or made there may be another database. */
  #verificationsRequested = 0;
  /** So many of them are over: the log was found to lead on, or the roster was replaced. */
  #verifiedUpTo = 0;

  constructor(deps: FeedDeps, random = Math.random) {
    this.#deps = deps;
    this.#random = random;
    this.#usernameRefresh = new UsernameRefresh(deps);
  }

  get listening(): boolean {
    return this.#state === "listening";
  }

  /** Loads the roster and follows the feed from there. Rejects as the store does. */
  async start(): Promise<void> {
    this.#subscription = await this.#subscribe();
    await this.#begin();
    this.#verifiedUpTo = this.#verificationsRequested;
    this.#following = this.#follow();
  }

  /** Brings the roster to where the log ends now, or further. */
  async catchUp(): Promise<"read" | "failed"> {
    const { promise, resolve } = Promise.withResolvers<"read" | "failed">();
    this.#waiting.push(resolve);
    this.#readSoon();
    if (this.#reading === undefined) this.#answer("failed");
    return await promise;
  }

  /** The store may have lost what it had committed: looks whether the log and the claims are as before. */
  requestVerification(): void {
    this.#verificationsRequested += 1;
    this.#readSoon();
  }

  /** How many transitions the store has told of that are not in the roster. */
  get lag(): number {
    return Math.max(0, this.#head - this.#deps.roster.seq);
  }

  /** Transitions that this node committed itself, because of what happened at `since` or later. */
  ingest(
    transitions: readonly Transition[],
    since = this.#deps.clock.now(),
  ): void {
    const last = transitions.at(-1);
    if (last === undefined) return;
    this.#advance(transitions, since);
    this.#head = Math.max(this.#head, last.seq);
    this.#noteHead(last.seq);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#subscription?.close();
    await this.#following;
    await this.#reading;
    await this.#usernameRefresh.stop();
  }

  /** Keeps one subscription after another alive. After each loss: listen first, then read. */
  async #follow(): Promise<void> {
    const { clock, log } = this.#deps;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      try {
        if (this.#subscription === undefined) {
          this.#subscription = await this.#subscribe();
          this.#verificationsRequested += 1;
        }
        if (this.#stop.signal.aborted) break;
        this.#state = "listening";
        await this.#watch(this.#subscription, () => failures = 0);
      } catch (err) {
        if (this.#stop.signal.aborted) break;
        log.warn(
          { reason: messageOf(err) },
          "lost the listening connection, trying again",
        );
      }
      this.#state = "broken";
      this.#verificationsRequested += 1;
      await this.#subscription?.close();
      this.#subscription = undefined;
      this.#usernameRefresh.refresh();
      await clock.sleep(retryMs(failures, this.#random), this.#stop.signal);
      failures += 1;
    }
    this.#state = "broken";
    await this.#subscription?.close();
  }

  #subscribe(): Promise<Subscription> {
    return this.#deps.store.subscribe(
      (seq) => this.#noteHead(seq),
      () => this.#usernameRefresh.refresh(),
      () => this.#deps.onRevoked(),
    );
  }

  /** Asks over the listening connection how far the log reaches, until that fails. */
  async #watch(
    subscription: Subscription,
    onSteady: () => void,
  ): Promise<void> {
    const { clock, heartbeatMs, roster } = this.#deps;
    const over = new AbortController();
    void subscription.ended.then(() => over.abort());
    while (!over.signal.aborted) {
      const taken = roster.seq;
      const head = await within(
        LISTENER_ANSWER_MS,
        "the listening connection's heartbeat",
        subscription.head(),
        clock,
      );
      this.#head = Math.max(this.#head, head);
      if (head !== taken || this.#needsVerification) this.#readSoon();
      await clock.sleep(heartbeatMs, over.signal);
      if (!over.signal.aborted) onSteady();
    }
    throw new Error("the listening connection ended");
  }

  #noteHead(seq: number): void {
    if (seq > this.#deps.roster.seq) this.#readSoon();
  }

  /** Any number of calls during a read cause one more read. */
  #readSoon(): void {
    this.#readPending = true;
    if (this.#state === "starting" || this.#stop.signal.aborted) return;
    this.#reading ??= this.#readAll();
  }

  async #readAll(): Promise<void> {
    const { log, roster } = this.#deps;
    try {
      while (this.#readPending && !this.#stop.signal.aborted) {
        this.#readPending = false;
        const count = this.#waiting.length;
        const head = await this.#read();
        // The log may grow faster than it is read.
        if (roster.seq >= head) this.#answer("read", count);
      }
      this.#answer("read");
    } catch (err) {
      // The next heartbeat or notification finds us behind again.
      log.warn({ reason: messageOf(err) }, "cannot read the feed");
      this.#answer("failed");
    } finally {
      this.#reading = undefined;
    }
  }

  /** Tells the first so many of those who wait, or all. */
  #answer(outcome: "read" | "failed", count = this.#waiting.length): void {
    for (const resolve of this.#waiting.splice(0, count)) resolve(outcome);
  }

  /** How far the log reached. */
  async #read(): Promise<number> {
    const { store, roster, log, clock, recheckClaims } = this.#deps;
    const after = roster.seq;
    const committed = Math.max(after, this.#head);
    const doubts = this.#verificationsRequested;
    const needsVerification = this.#needsVerification;
    const { head, transitions } = await store.readFeed(
      after,
      FEED_READ_ROWS_MAX,
    );
    // Only then: a log that is shorter now may have grown as far a moment later.
    const verdict = needsVerification && head >= committed
      ? await this.#compare()
      : "same";
    this.#head = Math.max(this.#head, head);
    const first = transitions[0]?.seq ?? head + 1;
    const isLost = verdict === "different" || head < committed;
    if (isLost) {
      log.error({ after, committed, head }, "the database lost transitions");
      // Clients were told of them: none gets a seq of theirs again.
      await store.skipTo(after + LOST_SEQS_MARGIN);
    }
    const isContiguous = !isLost && verdict === "same" && first === after + 1;
    if (!isContiguous) {
      log.warn(
        { after, first, head },
        "the log does not lead on from what was told, loading a snapshot",
      );
    }
    if (!isContiguous || needsVerification) await recheckClaims();
    if (!isContiguous) await this.#load();
    this.#verifiedUpTo = doubts;
    this.#advance(transitions, clock.now());
    this.#noteHead(head);
    return head;
  }

  get #needsVerification(): boolean {
    return this.#verifiedUpTo < this.#verificationsRequested;
  }

  /** Does the log still say what was taken from it? */
  async #compare(): Promise<"same" | "different" | "unknown"> {
    const { store, roster } = this.#deps;
    if (roster.seq === 0) return "same";
    return roster.compare(await readHistory(store, roster.seq));
  }

  /** Takes those that come next; older ones are known, and a gap is left for a read. */
  #advance(transitions: readonly Transition[], since: number): void {
    const { roster, onAdvance } = this.#deps;
    if (this.#needsVerification || this.#state === "starting") return;
    const changes: Change[] = [];
    for (const transition of transitions) {
      if (transition.seq === roster.seq + 1) {
        changes.push(...roster.advance(transition));
      }
    }
    if (changes.length > 0) onAdvance(changes, since);
  }

  async #begin(): Promise<void> {
    const { store, roster } = this.#deps;
    const snapshot = await store.snapshot();
    roster.load(snapshot, await readHistory(store, snapshot.seq));
  }

  /** Becomes what the store holds now; the differences are told like any transition. */
  async #load(): Promise<void> {
    const { store, roster, clock, onAdvance } = this.#deps;
    const snapshot = await store.snapshot();
    const { transitions } = await store.readFeed(snapshot.seq - 1, 1);
    if (snapshot.seq < roster.seq) throw new Error("the log just went back");
    const changes = roster.replace(snapshot, transitions[0]);
    this.#head = Math.max(this.#head, roster.seq);
    onAdvance(changes, clock.now());
  }
}
