/**
 * The ring: the last changes of the roster, for connections that are behind.
 *
 * Changes are numbered by position since this process started. A position is not a `seq`: a
 * snapshot brings many changes under one, and what comes after it is another history.
 *
 * @module
 */
import type { Status } from "../../protocol/messages.ts";
import type { UserId } from "../../protocol/user_id.ts";

/** A change of the roster, ready to be sent. */
export interface Change {
  readonly userId: UserId;
  readonly status: Status;
  readonly username: string;
  /** The text of version 1. */
  readonly message: string;
  /** The roster's `seq` with this change. */
  readonly seq: number;
}

export class Ring {
  readonly #capacity: number;
  readonly #changes: Change[] = [];
  #head = 0;
  /** Changes from here on lead to each other; what is before belongs to another history. */
  #base = 0;
  /** The newest `seq` whose changes are not all here. */
  #forgottenSeq = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The position after the newest change. A connection at the head has been told everything. */
  get head(): number {
    return this.#head;
  }

  /** The oldest position that is still here. A cursor before it has lost something. */
  get tail(): number {
    return Math.max(0, this.#head - this.#capacity);
  }

  push(change: Change): void {
    const place = this.#head % this.#capacity;
    const forgotten = this.#changes[place];
    if (forgotten !== undefined && this.tail >= this.#base) {
      this.#forgottenSeq = forgotten.seq;
    }
    this.#changes[place] = change;
    this.#head += 1;
  }

  at(position: number): Change {
    const change = this.#changes[position % this.#capacity];
    if (
      change === undefined || position < this.tail || position >= this.#head
    ) {
      throw new RangeError(
        `Cannot read the ring at ${position}: expected ${this.tail} to ${
          this.#head - 1
        }`,
      );
    }
    return change;
  }

  /** What is pushed from now on leads on from `seq`, and nothing that is here leads to it. */
  resetTo(seq: number): void {
    this.#base = this.#head;
    this.#forgottenSeq = seq;
  }

  /** The changes that are here and lead to each other. */
  bySeq(): Map<number, Change> {
    const changes = new Map<number, Change>();
    for (let at = Math.max(this.tail, this.#base); at < this.#head; at++) {
      changes.set(this.at(at).seq, this.at(at));
    }
    return changes;
  }

  /**
   * The position of the first change that somebody who knows the roster as of `seq` has not
   * been told. `undefined` when some of them are not here.
   */
  positionAfter(seq: number): number | undefined {
    if (seq < this.#forgottenSeq) return undefined;
    let low = Math.max(this.tail, this.#base);
    let high = this.#head;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.at(middle).seq > seq) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
