/**
 * The faces of the users who are online: initials, names, and for how long.
 *
 * They are drawn at most once per frame, people first, then by id. A user who goes offline stays
 * for a moment, so that it can be seen who left. Usernames are data, so they are only ever set as
 * text.
 *
 * @module
 */
import { isSimulated } from "./crowd.js";
import { copyOf, element, oncePerFrame, setText } from "./dom.js";
import { fit } from "./fit.js";
import { lasting } from "./time.js";

/** Nobody reads a longer list to its end. */
const LISTED_MAX = 200;
/** If more faces are added in one frame, as with the first snapshot, they appear without animation. */
const ANIMATED_MAX = 12;
/** How long the face of a user who left stays. */
const LEAVING_MS = 2_500;
/** In degrees. Neighbouring ids get hues that are far apart. */
const GOLDEN_ANGLE = 137.5;

const whole = new Intl.NumberFormat("en");
const dateAndTime = new Intl.DateTimeFormat([], {
  dateStyle: "medium",
  timeStyle: "medium",
});
/** Firefox has it from version 125. */
const characters = Intl.Segmenter && new Intl.Segmenter();

/**
 * @typedef {number | string} UserId
 * @typedef {{ id: UserId, username: string, since?: Date }} User
 */

export class Faces {
  /** @type {() => { users: ReadonlyMap<UserId, User>, count?: number, you?: UserId }} */
  #read;
  /** Since when users are online who came online before this page connected. @type {Map<UserId, Date>} */
  #since = new Map();
  /** @type {Map<UserId, HTMLElement>} */
  #rows = new Map();
  /** The users of the rows. @type {Map<UserId, User>} */
  #shown = new Map();
  /** Users who left a moment ago, and whose rows stay. @type {Map<UserId, User>} */
  #leaving = new Map();
  #rest = copyOf("rest");
  /** Whether the list is longer than its room, and each face has its name. */
  #isListed = false;
  /** In rem. */
  #room = { width: 0, height: 0 };

  /** Draws in the next frame. */
  draw = oncePerFrame(() => this.#draw());

  /** @param read Returns who is online. Called in each frame that is drawn. */
  constructor(read) {
    this.#read = read;
    const { fontSize } = getComputedStyle(document.documentElement);
    const rem = Number.parseFloat(fontSize);
    new ResizeObserver(([{ contentRect: { width, height } }]) => {
      this.#room = { width: width / rem, height: height / rem };
      this.draw();
    }).observe(element("room"));
    element("online").append(this.#rest);
    const [, button] = this.#rest.children;
    button.onclick = () => {
      this.#isListed = !this.#isListed;
      this.#draw();
      button.scrollIntoView({ block: "nearest" });
    };
  }

  /** @param {{ id: UserId, since: string }[]} list From the server. */
  setSince(list) {
    this.#since = new Map(list.map(({ id, since }) => [id, new Date(since)]));
    this.draw();
  }

  /** The user went offline, so the time is no longer right when the user comes back. */
  forgetSince(id) {
    this.#since.delete(id);
  }

  #draw() {
    const { users, count = 0, you } = this.#read();
    this.#noteLeaving(users);
    const { people, simulated } = inOrder(users, this.#leaving);
    const all = [...people, ...simulated];
    const { size, named, shown } = this.#isListed
      ? { size: "listed", named: LISTED_MAX, shown: LISTED_MAX }
      : fit(all.length, people.length, this.#room);
    const faces = all.slice(0, shown);
    this.#shown = new Map(faces.map((user) => [user.id, user]));
    this.#removeOthers();
    const list = element("online");
    list.dataset.size = size;
    element("room").classList.toggle("listed", this.#isListed);
    const added = faces.filter(({ id }) => !this.#rows.has(id)).length;
    for (const [index, user] of faces.entries()) {
      const row = this.#rows.get(user.id) ??
        this.#addRow(user.id, added <= ANIMATED_MAX);
      this.#fill(row, user, user.id === you, index < named);
      const place = list.children[index];
      if (row !== place) list.insertBefore(row, place);
    }
    const online = faces.filter(({ id }) => !this.#leaving.has(id)).length;
    this.#drawRest(online === 0 ? 0 : count - online);
  }

  #noteLeaving(users) {
    for (const [id, user] of this.#shown) {
      if (users.has(id)) this.#leaving.delete(id);
      else if (!this.#leaving.has(id)) this.#leave(id, user);
    }
  }

  #leave(id, user) {
    this.#leaving.set(id, user);
    setTimeout(() => {
      // The user may have come back, and left again.
      if (this.#leaving.get(id) !== user) return;
      this.#leaving.delete(id);
      this.#shown.delete(id);
      this.draw();
    }, LEAVING_MS);
  }

  #removeOthers() {
    for (const [id, row] of this.#rows) {
      if (this.#shown.has(id)) continue;
      this.#rows.delete(id);
      row.remove();
    }
  }

  #addRow(id, isAnimated) {
    const row = copyOf("face");
    row.dataset.id = String(id);
    row.style.setProperty("--hue", String(hueOf(id)));
    row.classList.toggle("arriving", isAnimated);
    this.#rows.set(id, row);
    return row;
  }

  #fill(row, user, isYou, isNamed) {
    const { id, username, since = this.#since.get(id) } = user;
    const isLeaving = this.#leaving.has(id);
    const states = { simulated: isSimulated(user), leaving: isLeaving };
    for (
      const [name, is] of Object.entries({
        ...states,
        ...{ you: isYou, named: isNamed },
      })
    ) row.classList.toggle(name, is);
    const [avatar, name, when] = row.children;
    setText(avatar, initialOf(username));
    setText(name, username);
    const time = isLeaving
      ? "left"
      : since && lasting(Date.now() - since.getTime());
    setText(when, [isYou && "you", time].filter(Boolean).join(", "));
    const title = since && !isLeaving
      ? `${username}, online since ${dateAndTime.format(since)}`
      : username;
    if (row.title !== title) row.title = title;
  }

  #drawRest(more) {
    const [text, button] = this.#rest.children;
    const words = more > 0 ? `+${whole.format(more)} more` : "";
    this.#rest.hidden = words === "" && !this.#isListed;
    setText(text, this.#isListed ? words : "");
    setText(button, this.#isListed ? "Show fewer" : words);
    button.ariaExpanded = String(this.#isListed);
  }
}

/** Users who are online or were a moment ago, by id. */
function inOrder(users, leaving) {
  const groups = { people: [], simulated: [] };
  for (const user of [...users.values(), ...leaving.values()].sort(byId)) {
    groups[isSimulated(user) ? "simulated" : "people"].push(user);
  }
  return groups;
}

const byId = ({ id: a }, { id: b }) => a < b ? -1 : 1;

/** @param {UserId} id A number, or text that ends with one in the demo. */
function hueOf(id) {
  const number = Number.parseInt(String(id).slice(-6).replace(/^\D+/, ""), 16);
  return (number || 0) * GOLDEN_ANGLE % 360;
}

/** The first character that a reader sees, which may be several code points. */
export function initialOf(username) {
  const text = username.replace(/^[\p{C}\p{Z}]+/u, "");
  const [first] = characters?.segment(text) ?? [];
  return first?.segment ?? [...text][0] ?? "?";
}
