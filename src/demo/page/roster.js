/**
 * The roster: the list of online users, with names and since when.
 *
 * It is drawn at most once per frame, and shows the first users by id: nobody reads a longer
 * list to its end. Usernames are data, so they are only ever set as text.
 *
 * @module
 */
import { copyOf, element, oncePerFrame } from "./dom.js";

const ROWS_MAX = 200;
/** If more rows are added in one frame, as with the first snapshot, they appear without animation. */
const ANIMATED_MAX = 12;
const DAY_MS = 24 * 3_600_000;

const clockTime = new Intl.DateTimeFormat([], {
  hour: "2-digit",
  minute: "2-digit",
});
const calendarDay = new Intl.DateTimeFormat([], {
  day: "numeric",
  month: "short",
});
const whole = new Intl.NumberFormat("en");

export class Roster {
  /** @type {() => { users: ReadonlyMap<number, { id: number, username: string, since?: Date }>, count?: number, you?: number }} */
  #read;
  /** Since when users are online who came online before this page connected. @type {Map<number, Date>} */
  #since = new Map();
  /** @type {Map<number, HTMLElement>} */
  #rows = new Map();

  /** Draws in the next frame. */
  draw = oncePerFrame(() => this.#draw());

  /** @param read Returns who is online. Called in each frame that is drawn. */
  constructor(read) {
    this.#read = read;
  }

  /** @param {{ id: number, since: string }[]} list From the server. */
  setSince(list) {
    this.#since = new Map(list.map(({ id, since }) => [id, new Date(since)]));
    this.draw();
  }

  /** The user went offline, so the time is no longer right when the user comes back. */
  forgetSince(id) {
    this.#since.delete(id);
  }

  #draw() {
    const { users, count, you } = this.#read();
    const ids = [...users.keys()].sort((a, b) => a - b).slice(0, ROWS_MAX);
    this.#removeAllBut(new Set(ids));
    const list = element("online");
    const added = ids.filter((id) => !this.#rows.has(id)).length;
    for (const [index, id] of ids.entries()) {
      const row = this.#rows.get(id) ?? this.#addRow(id, added <= ANIMATED_MAX);
      this.#fill(row, users.get(id), id === you);
      const place = list.children[index] ?? null;
      if (row !== place) list.insertBefore(row, place);
    }
    const isKnown = count !== undefined;
    setText(element("count"), isKnown ? whole.format(count) : "");
    list.dataset.empty = !isKnown
      ? "Loading ..."
      : count > 0
      ? "Too many users are online to list them."
      : "Nobody is online.";
    const more = (count ?? 0) - ids.length;
    element("more").hidden = ids.length === 0 || more <= 0;
    setText(element("more"), `and ${whole.format(more)} more`);
  }

  #removeAllBut(ids) {
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      this.#rows.delete(id);
      row.remove();
    }
  }

  #addRow(id, isAnimated) {
    const row = copyOf("item");
    row.dataset.id = String(id);
    row.style.setProperty("--hue", String(id * 67 % 360));
    row.classList.toggle("arriving", isAnimated);
    this.#rows.set(id, row);
    return row;
  }

  #fill(row, { id, username, since = this.#since.get(id) }, isYou) {
    const [initial, words] = row.children;
    const [name, when, you] = words.children;
    setText(initial, [...username][0] ?? "?");
    setText(name, username);
    setText(when, since === undefined ? "" : `since ${timeOf(since)}`);
    you.hidden = !isYou;
  }
}

function timeOf(date) {
  const isToday = Date.now() - date.getTime() < DAY_MS;
  return (isToday ? clockTime : calendarDay).format(date);
}

/** Skips a text that does not change: writing it would cost a layout. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
