/**
 * The event log, newest first. `entries.js` decides what an entry is.
 *
 * The list is no live region: with many events a screen reader would never be silent. The
 * announcer speaks instead.
 *
 * @module
 */
import { copyOf, element, oncePerFrame, setText } from "./dom.js";
import { Entries, ENTRIES_MAX } from "./entries.js";
import { ago } from "./time.js";

const dateAndTime = new Intl.DateTimeFormat([], {
  dateStyle: "medium",
  timeStyle: "medium",
});

export class Log {
  #entries = new Entries();
  /** Newest last. @type {Map<import("./entries.js").Entry, HTMLElement>} */
  #rows = new Map();
  #draw = oncePerFrame(() => this.#drawChanged());

  /** @param {string} text */
  note(text) {
    this.#entries.note(text);
    this.#draw();
  }

  /** @param {"online" | "offline"} kind */
  record(kind, user) {
    this.#entries.record(kind, user);
    this.#draw();
  }

  /** Brings the relative times up to date. */
  tick() {
    for (const [entry, row] of this.#rows) showTime(row, entry);
  }

  #drawChanged() {
    const list = element("log");
    for (const entry of this.#entries.takeChanged()) {
      const row = this.#rows.get(entry) ?? copyOf("entry");
      row.className = entry.kind;
      const [name, words] = row.firstElementChild.children;
      setText(name, entry.name);
      setText(words, entry.name ? ` ${entry.text}` : entry.text);
      showTime(row, entry);
      if (this.#rows.has(entry)) continue;
      this.#rows.set(entry, row);
      list.prepend(row);
    }
    for (const [entry, row] of this.#rows) {
      if (this.#rows.size <= ENTRIES_MAX) break;
      this.#rows.delete(entry);
      row.remove();
    }
  }
}

function showTime(row, { at }) {
  const time = row.lastElementChild;
  setText(time, ago(Date.now() - at));
  const title = dateAndTime.format(at);
  if (time.title !== title) time.title = title;
}
