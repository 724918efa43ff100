/**
 * The ring keeps the last changes of the roster, for connections that are behind.
 *
 * Changes are numbered by position since this process started. A position is not a `seq`: a
 * snapshot brings many changes under one `seq`, and starts another history. Which connections
 * read the ring, and at which position, is not known here.
 *
 * @module
 */
import type { Change } from "./change.ts";

export class Ring {
  readonly #capacity: number;
  readonly #changes: Change[] = [];
  #head = 0;
  /** Changes from this position on belong to the current history, older ones to another. */
  #base = 0;
  /** The newest `seq` of the current history whose changes are not all in the ring. */
  #forgottenSeq = 0;

  /** @param capacity Changes that the ring keeps. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The position after the newest change. A connection at the head is up to date. */
  get head(): number {
    return this.#head;
  }

  /** The oldest position in the ring. A connection before it has missed changes. */
  get tail(): number {
    return Math.max(0, this.#head - this.#capacity);
  }

  /** Adds a change at the head. When the ring is full, it forgets the oldest and returns it. */
  push(change: Change): Change | undefined {
    const index = this.#head % this.#capacity;
    const forgotten = this.#changes[index];
    if (forgotten !== undefined && this.tail >= this.#base) {
      this.#forgottenSeq = forgotten.seq;
    }
    this.#changes[index] = change;
    this.#head += 1;
    return forgotten;
  }

  /** @throws {RangeError} for a position that is not in the ring. */
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

  /**
   * Starts another history at `seq`. Changes that are pushed from now on continue it. Changes that
   * are in the ring already stay readable by position, but not by `seq`.
   */
  resetTo(seq: number): void {
    this.#base = this.#head;
    this.#forgottenSeq = seq;
  }

  /** The changes of the current history that are in the ring, by their `seq`. */
  bySeq(): Map<number, Change> {
    const changes = new Map<number, Change>();
    for (let at = Math.max(this.tail, this.#base); at < this.#head; at++) {
      changes.set(this.at(at).seq, this.at(at));
    }
    return changes;
  }

  /**
   * The position of the first change after `seq`: a client that has the roster as of `seq` resumes
   * there. `undefined`: some of the changes after `seq` are not in the ring.
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
