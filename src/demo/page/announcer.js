/**
 * Spoken summaries of the events, for screen readers: one sentence every few seconds sums up who
 * came online and who went offline.
 *
 * @module
 */
import { isSimulated } from "./crowd.js";
import { element } from "./dom.js";

/** A summary waits this long for more events after the first one. */
const GATHER_MS = 1_000;
/** The least time between two summaries, so that each can be spoken to its end. */
const PAUSE_MS = 5_000;
/** A summary names this many people. If there are more, it gives their number. */
const NAMED_MAX = 2;

const none = () => ({ people: 0, names: [], simulated: 0 });

/** Speaks through a polite live region. */
export class Announcer {
  /** Since the last summary. */
  #events = { online: none(), offline: none() };
  #timer = undefined;
  #spokenAt = -Infinity;
  #readCount;

  /** @param {() => number} readCount Returns how many users are online now. */
  constructor(readCount) {
    this.#readCount = readCount;
  }

  /** @param {"online" | "offline"} kind */
  record(kind, user) {
    const group = this.#events[kind];
    if (isSimulated(user)) group.simulated += 1;
    else {
      group.people += 1;
      if (group.names.length < NAMED_MAX) group.names.push(user.username);
    }
    const pauseEndsIn = this.#spokenAt + PAUSE_MS - performance.now();
    this.#timer ??= setTimeout(
      () => this.#summarize(),
      Math.max(GATHER_MS, pauseEndsIn),
    );
  }

  /** Speaks at once: the answer to something that the user did. */
  speak(text) {
    element("spoken").textContent = text;
  }

  #summarize() {
    const { online, offline } = this.#events;
    const parts = [
      inWords(online, "came online"),
      inWords(offline, "went offline"),
    ];
    const count = this.#readCount();
    const total = count === 1
      ? "1 user is online"
      : `${count} users are online`;
    this.speak(`${parts.filter((part) => part).join(", ")}. ${total}.`);
    this.#events = { online: none(), offline: none() };
    this.#timer = undefined;
    this.#spokenAt = performance.now();
  }
}

function inWords({ people, names, simulated }, verb) {
  const who = people > NAMED_MAX ? [`${people} users`] : [...names];
  if (simulated > 0) who.push(`${simulated} simulated users`);
  return who.length === 0 ? "" : `${who.join(" and ")} ${verb}`;
}
