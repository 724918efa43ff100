/**
 * The entries of the event log, without their looks.
 *
 * Simulated users come and go all the time. One entry counts all that they do until something else
 * happens, and for a minute at most, so that they never hide what a person did.
 *
 * @module
 */
import { isSimulated } from "./crowd.js";

export const ENTRIES_MAX = 200;
const FOLD_MS = 60_000;
const whole = new Intl.NumberFormat("en");

/**
 * @typedef {object} Entry
 * @property {"note" | "online" | "offline" | "simulated"} kind
 * @property {string} name Of the user who did it, or "".
 * @property {string | undefined} note What was noted.
 * @property {number} times How often it was noted.
 * @property {number} startedAt
 * @property {number} at When it changed last.
 * @property {string} text
 * @property {number} online How many simulated users came online.
 * @property {number} offline How many simulated users went offline.
 */

export class Entries {
  /** Oldest first. @type {Entry[]} */
  #entries = [];
  /** Since the last `takeChanged`. @type {Set<Entry>} */
  #changed = new Set();

  /** The same note several times in a row is one entry. @param {string} note */
  note(note, now = Date.now()) {
    const last = this.#entries.at(-1);
    if (last?.note !== note) return void this.#add("note", note, now, { note });
    last.times += 1;
    last.at = now;
    last.text = `${note}, ${whole.format(last.times)} times`;
    this.#changed.add(last);
  }

  /**
   * @param {"online" | "offline"} kind What happened to the user.
   * @param {{ username: string }} user
   */
  record(kind, user, now = Date.now()) {
    if (!isSimulated(user)) {
      const verb = kind === "online" ? "came online" : "went offline";
      return void this.#add(kind, verb, now, { name: user.username });
    }
    const last = this.#entries.at(-1);
    const isOpen = last?.kind === "simulated" && now - last.startedAt < FOLD_MS;
    const entry = isOpen ? last : this.#add("simulated", "", now);
    entry[kind] += 1;
    entry.at = now;
    entry.text = inWords(entry);
    this.#changed.add(entry);
  }

  /** The entries that were added or changed since the last call, oldest first. */
  takeChanged() {
    const changed = [...this.#changed];
    this.#changed.clear();
    return changed;
  }

  #add(kind, text, now, { name = "", note = undefined } = {}) {
    const entry = { kind, name, note, text, startedAt: now, at: now };
    Object.assign(entry, { times: 1, online: 0, offline: 0 });
    this.#entries.push(entry);
    this.#changed.add(entry);
    if (this.#entries.length > ENTRIES_MAX) {
      this.#changed.delete(this.#entries.shift());
    }
    return entry;
  }
}

function inWords({ online, offline }) {
  if (online === 0) return `${users(offline)} went offline`;
  const came = `${users(online)} came online`;
  return offline === 0
    ? came
    : `${came}, ${whole.format(offline)} went offline`;
}

const users = (count) =>
  count === 1 ? "1 simulated user" : `${whole.format(count)} simulated users`;
