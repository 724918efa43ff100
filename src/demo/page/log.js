/**
 * The event log, newest first, and spoken summaries of it for screen readers.
 *
 * The list itself is no live region: with many events a screen reader would never be silent.
 * Instead, one sentence every few seconds sums up who came online and who went offline.
 *
 * @module
 */
import { copyOf, element, oncePerFrame } from "./dom.js";

const ENTRIES_MAX = 200;
/** A summary waits this long for more events after the first one. */
const GATHER_MS = 1_000;
/** The least time between two summaries, so that each can be spoken to its end. */
const PAUSE_MS = 5_000;
/** A summary names this many users. If there are more, it gives their number. */
const NAMED_MAX = 2;

const clockTime = new Intl.DateTimeFormat([], {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

export class Log {
  /** Entries for the next frame, oldest first. @type {{ at: Date, kind: string, text: string }[]} */
  #pending = [];
  #draw = oncePerFrame(() => this.#drawPending());

  note(text) {
    this.#add("", text);
  }

  online({ username }) {
    this.#add("online", `${username} came online`);
  }

  offline({ username }) {
    this.#add("offline", `${username} went offline`);
  }

  #add(kind, text) {
    this.#pending.push({ at: new Date(), kind, text });
    // A page in the background draws no frames, so the list must not grow without a limit.
    if (this.#pending.length > ENTRIES_MAX) this.#pending.shift();
    this.#draw();
  }

  #drawPending() {
    const list = element("log");
    const entries = this.#pending.splice(0).reverse().map(toEntry);
    list.prepend(...entries);
    while (list.children.length > ENTRIES_MAX) list.lastElementChild.remove();
  }
}

function toEntry({ at, kind, text }) {
  const entry = copyOf("entry");
  const [time, words] = entry.children;
  time.textContent = clockTime.format(at);
  words.className = kind;
  words.textContent = text;
  return entry;
}

/** Speaks through a polite live region: a summary of the events, at most one every few seconds. */
export class Announcer {
  /** Since the last summary: how many users, and the names of the first of them. */
  #online = { count: 0, names: [] };
  #offline = { count: 0, names: [] };
  #timer = undefined;
  #spokenAt = -Infinity;
  #readCount;

  /** @param {() => number} readCount Returns how many users are online now. */
  constructor(readCount) {
    this.#readCount = readCount;
  }

  online({ username }) {
    this.#gather(this.#online, username);
  }

  offline({ username }) {
    this.#gather(this.#offline, username);
  }

  /** Speaks at once: the answer to something that the user did. */
  speak(text) {
    element("spoken").textContent = text;
  }

  #gather(group, username) {
    group.count += 1;
    if (group.names.length < NAMED_MAX) group.names.push(username);
    const pauseEndsIn = this.#spokenAt + PAUSE_MS - performance.now();
    this.#timer ??= setTimeout(
      () => this.#summarize(),
      Math.max(GATHER_MS, pauseEndsIn),
    );
  }

  #summarize() {
    const parts = [
      inWords(this.#online, "came online"),
      inWords(this.#offline, "went offline"),
    ];
    const count = this.#readCount();
    const total = count === 1
      ? "1 user is online"
      : `${count} users are online`;
    this.speak(`${parts.filter((part) => part).join(", ")}. ${total}.`);
    this.#online = { count: 0, names: [] };
    this.#offline = { count: 0, names: [] };
    this.#timer = undefined;
    this.#spokenAt = performance.now();
  }
}

function inWords({ count, names }, verb) {
  if (count === 0) return "";
  return `${count > NAMED_MAX ? count : names.join(" and ")} ${verb}`;
}
