/**
 * The log: what happened, the newest first, and a summary of it for screen readers.
 *
 * The list is for the eyes and is no live region: in a busy minute it would never be silent.
 * What is spoken is a sentence now and then that sums up who came and left.
 *
 * @module
 */
import { copyOf, element, oncePerFrame } from "./dom.js";

const ENTRIES_MAX = 200;
/** After the first change others are waited for, and a sentence is given time to be heard. */
const GATHER_MS = 1_000;
const PAUSE_MS = 5_000;
/** So few are named, more are counted. */
const NAMED_MAX = 2;

const clockTime = new Intl.DateTimeFormat([], {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

export class Log {
  /** Not drawn yet, the oldest first. @type {{ at: Date, kind: string, who: string, what: string }[]} */
  #due = [];
  #draw = oncePerFrame(() => this.#drawDue());

  note(what) {
    this.#add("", "", what);
  }

  came({ username }) {
    this.#add("online", username, " came online");
  }

  left({ username }) {
    this.#add("offline", username, " went offline");
  }

  #add(kind, who, what) {
    this.#due.push({ at: new Date(), kind, who, what });
    // A page in the background has no frames.
    if (this.#due.length > ENTRIES_MAX) this.#due.shift();
    this.#draw();
  }

  #drawDue() {
    const list = element("log");
    const entries = this.#due.splice(0).reverse().map(toEntry);
    list.prepend(...entries);
    while (list.children.length > ENTRIES_MAX) list.lastElementChild.remove();
  }
}

function toEntry({ at, kind, who, what }) {
  const entry = copyOf("entry");
  const [time, words] = entry.children;
  time.textContent = clockTime.format(at);
  words.className = kind;
  words.textContent = who + what;
  return entry;
}

/** Says who came and left in a polite live region, in one sentence every few seconds at most. */
export class Announcer {
  /** The first names of those who came and left since the last sentence, and how many. */
  #came = { count: 0, names: [] };
  #left = { count: 0, names: [] };
  #timer = undefined;
  #saidAt = -Infinity;
  #read;

  /** @param {() => number} read How many are online, when a sentence is said. */
  constructor(read) {
    this.#read = read;
  }

  came({ username }) {
    this.#gather(this.#came, username);
  }

  left({ username }) {
    this.#gather(this.#left, username);
  }

  /** At once: somebody waits for it. */
  say(text) {
    element("spoken").textContent = text;
  }

  #gather(group, username) {
    group.count += 1;
    if (group.names.length < NAMED_MAX) group.names.push(username);
    const pauseEndsIn = this.#saidAt + PAUSE_MS - performance.now();
    this.#timer ??= setTimeout(
      () => this.#sum(),
      Math.max(GATHER_MS, pauseEndsIn),
    );
  }

  #sum() {
    const parts = [inWords(this.#came, "came"), inWords(this.#left, "left")];
    const count = this.#read();
    const verb = count === 1 ? "is" : "are";
    this.say(
      `${parts.filter((part) => part).join(", ")}. ${count} ${verb} online.`,
    );
    this.#came = { count: 0, names: [] };
    this.#left = { count: 0, names: [] };
    this.#timer = undefined;
    this.#saidAt = performance.now();
  }
}

function inWords({ count, names }, verb) {
  if (count === 0) return "";
  return `${count > NAMED_MAX ? count : names.join(" and ")} ${verb}`;
}
