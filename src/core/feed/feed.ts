/**
 * The feed brings the store's transitions to the roster, in order and without holes.
 *
 * Transitions reach this node in two ways. Transitions that this node committed itself are applied
 * at once if they are next in order (`ingest`). All others are read from the store, whenever the
 * feed is known to reach further than the roster. A notification only says that there is
 * something to read. If it is lost, the next heartbeat over the connection for notifications shows it
 * (`KeptConnection` in `base/`). What the roster's changes cause is not known here.
 *
 * The parts:
 *
 * - `history.ts`: the newest part of the feed, to fill the ring and to verify.
 * - `username_refresh.ts`: reads the names of online users again.
 *
 * **Verification.** Behind a lost connection there may be another database: a replica that took
 * over may lack the newest transitions, and may have reached the same `seq` again with others. So
 * each loss and each new connection requests a verification. Until it has succeeded the roster
 * takes nothing, not even this node's own commits. A verification compares the feed with the ring.
 * It is requested twice, because the answers in between may come from the old database.
 *
 * - The feed has what was taken from it: the roster goes on.
 * - The feed is shorter or different: the database lost transitions. Clients got them already, so
 *   their numbers must not be used again: the counter skips ahead. The roster is replaced.
 * - There is a hole, or nothing is left to compare: another node may have found the loss, and
 *   skipped. The roster is replaced.
 *
 * With each of these the claims are rechecked, because a claim may be lost without a transition.
 * Replacing the roster gives every version 2 client a new state.
 *
 * Costs: one read for each growth, however many notifications announce it; one query over the
 * notification connection for each heartbeat.
 *
 * @module
 */
import { BackgroundTask } from "../../base/background_task.ts";
import { type Clock, within } from "../../base/clock.ts";
import { KeptConnection } from "../../base/kept_connection.ts";
import { NOTIFICATION_ANSWER_MS } from "../../base/limits.ts";
import type { Log } from "../../base/log.ts";
import { messageOf } from "../../base/message_of.ts";
import type { Change } from "../roster/change.ts";
import type { Roster } from "../roster/roster.ts";
import type {
  Notifications,
  Store,
  Subscription,
  Transition,
} from "../store/store.ts";
import { readHistory } from "./history.ts";
import { FEED_READ_ROWS_MAX, LOST_SEQS_MARGIN } from "./limits.ts";
import { UsernameRefresh } from "./username_refresh.ts";

export interface FeedDeps
  extends Pick<Notifications, "onRevoked" | "onGroupsChanged"> {
  readonly store: Pick<
    Store,
    "readFeed" | "snapshot" | "subscribe" | "skipTo"
  >;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly log: Log;
  readonly heartbeatMs: number;
  /** Called after each change, when the roster has it and not the next one. */
  readonly onChange: (change: Change) => void;
  /** The roster changed. `since`: the time of the oldest event behind these changes, or earlier. */
  readonly onAdvance: (since: number) => void;
  /** Compares this node's claims with the store's. Rejects if that fails. */
  readonly recheckClaims: () => Promise<void>;
}

export class Feed {
  readonly #deps: FeedDeps;
  readonly #link: KeptConnection<Subscription>;
  readonly #usernameRefresh: UsernameRefresh;
  readonly #reading = new BackgroundTask(() => this.#readOrLog());
  /** Callers that wait for a read which begins after their call. At most one for each socket. */
  readonly #waiting: ((outcome: "read" | "failed") => void)[] = [];
  /** The roster is loaded. Before that nothing is read or applied. */
  #isStarted = false;
  /** The newest `seq` that the store reported. */
  #head = 0;
  /** Verifications that were requested so far. */
  #verificationsRequested = 0;
  /** How many of them have succeeded, or have ended with a replaced roster. */
  #verifiedUpTo = 0;

  constructor(deps: FeedDeps, random = Math.random) {
    this.#deps = deps;
    this.#usernameRefresh = new UsernameRefresh({
      ...deps,
      catchUp: () => this.catchUp(),
    });
    this.#link = new KeptConnection({
      ...deps,
      connect: () =>
        deps.store.subscribe({
          ...deps,
          onHead: (seq) => this.#noteHead(seq),
          onRenamed: () => this.#usernameRefresh.refresh(),
        }),
      heartbeat: (subscription) => this.#heartbeat(subscription),
      onDown: (reason) => this.#onDown(reason),
      onReconnected: () => {
        this.#verificationsRequested += 1;
        // Until now nothing said that a user was renamed.
        this.#usernameRefresh.refresh();
      },
    }, random);
  }

  /** Whether notifications can arrive. If not, the roster may be behind. */
  get notificationsUp(): boolean {
    return this.#link.isUp;
  }

  /** How many transitions the store has reported that the roster does not have. */
  get lag(): number {
    return Math.max(0, this.#head - this.#deps.roster.seq);
  }

  /** Loads the roster and follows the feed from there. Rejects as the store does. */
  async start(): Promise<void> {
    await this.#link.connect();
    await this.#loadRoster();
    this.#verifiedUpTo = this.#verificationsRequested;
    this.#isStarted = true;
    this.#link.start();
  }

  /** Brings the roster to where the feed ends now, or further. `"failed"`: the feed cannot be read now. */
  async catchUp(): Promise<"read" | "failed"> {
    const { promise, resolve } = Promise.withResolvers<"read" | "failed">();
    this.#waiting.push(resolve);
    this.#readSoon();
    if (!this.#reading.isRunning) this.#resolveWaiting("failed");
    return await promise;
  }

  /** The store may have lost what was committed. The feed and the claims are verified before more is applied. */
  requestVerification(): void {
    this.#verificationsRequested += 1;
    this.#readSoon();
  }

  /**
   * Takes transitions that this node committed itself.
   *
   * @param since The time of the oldest event that caused them.
   */
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
    const readingEnded = this.#reading.stop();
    await this.#link.stop();
    await readingEnded;
    this.#resolveWaiting("failed");
    await this.#usernameRefresh.stop();
  }

  #onDown(reason: string): void {
    const { log } = this.#deps;
    log.warn({ reason }, "lost the notification connection, reconnecting");
    this.#verificationsRequested += 1;
  }

  /** The answer shows what was announced by notifications that were lost. */
  async #heartbeat(subscription: Subscription): Promise<void> {
    const { roster, clock } = this.#deps;
    const taken = roster.seq;
    const head = await within(
      NOTIFICATION_ANSWER_MS,
      "the heartbeat of the notification connection",
      subscription.head(),
      clock,
    );
    this.#head = Math.max(this.#head, head);
    if (head !== taken || this.#needsVerification) this.#readSoon();
  }

  #noteHead(seq: number): void {
    if (seq > this.#deps.roster.seq) this.#readSoon();
  }

  #readSoon(): void {
    if (this.#isStarted) this.#reading.wake();
  }

  async #readOrLog(): Promise<void> {
    const { log, roster } = this.#deps;
    const waiting = this.#waiting.length;
    try {
      const head = await this.#read();
      // Otherwise another read follows. The feed may grow faster than it is read.
      if (roster.seq >= head) this.#resolveWaiting("read", waiting);
    } catch (err) {
      // The next heartbeat or notification finds the roster behind again.
      log.warn({ reason: messageOf(err) }, "cannot read the feed");
      this.#resolveWaiting("failed");
    }
  }

  /** Resolves the oldest waiting callers. Default: all of them. */
  #resolveWaiting(
    outcome: "read" | "failed",
    count = this.#waiting.length,
  ): void {
    for (const resolve of this.#waiting.splice(0, count)) resolve(outcome);
  }

  /** Reads once and applies what was read. Returns the head of the feed. */
  async #read(): Promise<number> {
    const { store, roster, clock, log, recheckClaims } = this.#deps;
    const requested = this.#verificationsRequested;
    const needsVerification = this.#needsVerification;
    const after = roster.seq;
    const committed = Math.max(after, this.#head);
    const { head, transitions } = await store.readFeed(
      after,
      FEED_READ_ROWS_MAX,
    );
    // A feed that is too short has lost transitions. It is not compared: while the comparison is
    // read the feed may grow to the same length again, and hide the loss.
    const verdict = needsVerification && head >= committed
      ? await this.#compareWithRing()
      : "same";
    this.#head = Math.max(this.#head, head);
    const isLost = verdict === "different" || head < committed;
    if (isLost) await this.#skipLostSeqs(after, committed, head);
    const first = transitions[0]?.seq ?? head + 1;
    const isContiguous = !isLost && verdict === "same" && first === after + 1;
    if (!isContiguous) {
      log.warn(
        { after, first, head },
        "the feed does not continue the roster, loading a snapshot",
      );
    }
    if (!isContiguous || needsVerification) await recheckClaims();
    if (!isContiguous) await this.#replaceRoster();
    this.#verifiedUpTo = requested;
    this.#advance(transitions, clock.now());
    this.#noteHead(head);
    return head;
  }

  get #needsVerification(): boolean {
    return this.#verifiedUpTo < this.#verificationsRequested;
  }

  /** Whether the feed still has what this node took from it. */
  async #compareWithRing(): Promise<"same" | "different" | "unknown"> {
    const { store, roster } = this.#deps;
    if (roster.seq === 0) return "same";
    return roster.compare(await readHistory(store, roster.seq));
  }

  /** Clients got the transitions that were lost: no `seq` of them may be used again. */
  async #skipLostSeqs(
    after: number,
    committed: number,
    head: number,
  ): Promise<void> {
    const { store, log } = this.#deps;
    log.error({ after, committed, head }, "the database lost transitions");
    await store.skipTo(after + LOST_SEQS_MARGIN);
  }

  /** Applies the transitions that are next. Older ones are applied already; a gap is left for a read. */
  #advance(transitions: readonly Transition[], since: number): void {
    const { roster, onChange, onAdvance } = this.#deps;
    if (this.#needsVerification || !this.#isStarted) return;
    const { head } = roster.ring;
    for (const transition of transitions) {
      if (transition.seq !== roster.seq + 1) continue;
      const change = roster.advance(transition);
      if (change !== undefined) onChange(change);
    }
    if (roster.ring.head > head) onAdvance(since);
  }

  async #loadRoster(): Promise<void> {
    const { store, roster } = this.#deps;
    const snapshot = await store.snapshot();
    roster.load(snapshot, await readHistory(store, snapshot.seq));
  }

  /** Makes the roster equal to the store's snapshot. The differences are delivered as changes. */
  async #replaceRoster(): Promise<void> {
    const { store, roster, clock, onChange, onAdvance } = this.#deps;
    const snapshot = await store.snapshot();
    const { transitions } = await store.readFeed(snapshot.seq - 1, 1);
    if (snapshot.seq < roster.seq) {
      throw new Error("the snapshot is older than the roster");
    }
    roster.replace(snapshot, transitions[0], onChange);
    this.#head = Math.max(this.#head, roster.seq);
    onAdvance(clock.now());
  }
}
