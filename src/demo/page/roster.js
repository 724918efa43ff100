/**
 * The roster: the list of who is online, with names and since when.
 *
 * However much changes, it is drawn once per frame, and however many are there, it shows
 * the first of them by id: a list that nobody can read to its end need not be there to its
 * end. Names are data: they only ever become text.
 *
 * @module
 */
import { copyOf, element, oncePerFrame } from "./dom.js";

const ROWS_MAX = 200;
/** More that come at once, such as everybody at the beginning, come without a movement. */
const MOVED_MAX = 12;
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
  /** Since when those are online who came before we looked. @type {Map<number, Date>} */
  #earlier = new Map();
  /** @type {Map<number, HTMLElement>} */
  #rows = new Map();

  /** Draws with the next frame. */
  draw = oncePerFrame(() => this.#draw());

  /** @param read Who is online, asked for with each frame that is drawn. */
  constructor(read) {
    this.#read = read;
  }

  /** @param {{ id: number, since: string }[]} list */
  learn(list) {
    this.#earlier = new Map(list.map(({ id, since }) => [id, new Date(since)]));
    this.draw();
  }

  /** Whoever left comes back as somebody else. */
  forget(id) {
    this.#earlier.delete(id);
  }

  #draw() {
    const { users, count, you } = this.#read();
    const ids = [...users.keys()].sort((a, b) => a - b).slice(0, ROWS_MAX);
    this.#removeAllBut(new Set(ids));
    const list = element("online");
    const added = ids.filter((id) => !this.#rows.has(id)).length;
    for (const [index, id] of ids.entries()) {
      const row = this.#rows.get(id) ?? this.#addRow(id, added <= MOVED_MAX);
      this.#fill(row, users.get(id), id === you);
      const place = list.children[index] ?? null;
      if (row !== place) list.insertBefore(row, place);
    }
    const isKnown = count !== undefined;
    setText(element("count"), isKnown ? whole.format(count) : "");
    list.dataset.empty = !isKnown
      ? "Looking who is here ..."
      : count > 0
      ? "More are online than can be named."
      : "Nobody is here.";
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

  #addRow(id, isMoved) {
    const row = copyOf("item");
    row.dataset.id = String(id);
    row.style.setProperty("--hue", String(id * 67 % 360));
    row.classList.toggle("arriving", isMoved);
    this.#rows.set(id, row);
    return row;
  }

  #fill(row, { id, username, since = this.#earlier.get(id) }, isYou) {
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

/** Writing what is there already would cost a layout. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
