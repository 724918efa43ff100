/**
 * The teams, in a demo that has them: a panel that shows who is in which, and moves people.
 *
 * It shows the six people of the demo whoever sees them: it stands for the application's own
 * administration. Who is online is not known here.
 *
 * @module
 */
import { copyOf, element, getJson, setText } from "./dom.js";

/** Another tab may move people. */
const POLL_MS = 3_000;

export class Teams {
  /** @type {readonly string[]} */
  #names = [];
  /** @type {Map<string, readonly string[]>} */
  #byUser = new Map();
  /** One move after the other: each has all teams of a user. */
  #moves = Promise.resolve();
  /** Moves that are not answered yet. The boxes stay as they are meanwhile. */
  #moving = 0;
  /** Grows with each move. What was read before it is out of date. */
  #version = 0;
  #onChange;

  /** @param {(username: string, sentence: string) => void} onChange Somebody was moved. */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  get isOn() {
    return this.#names.length > 0;
  }

  /** @param {{ teams?: string[], users: { username: string, teams: string[] }[] }} people */
  start(people) {
    if (people.teams === undefined) return;
    this.#names = people.teams;
    this.#byUser = teamsOf(people);
    element("people").append(
      ...people.users.map(({ username }) => this.#makeRow(username)),
    );
    element("teams").hidden = false;
    this.#draw();
    setInterval(() => document.hidden || this.read(), POLL_MS);
  }

  /** Reads who is where, which another tab may have changed. */
  async read() {
    if (!this.isOn || this.#moving > 0) return;
    const version = this.#version;
    const people = await getJson("/demo/users").catch(() => undefined);
    if (people !== undefined && version === this.#version) this.#show(people);
  }

  /** Whether two users see each other. @param {string} one @param {string} other */
  share(one, other) {
    const teams = this.#byUser.get(other) ?? [];
    return !this.isOn || one === other ||
      (this.#byUser.get(one) ?? []).some((team) => teams.includes(team));
  }

  /** Says whom the user of this tab sees. @param {string} username */
  explain(username) {
    if (!this.isOn) return;
    const teams = this.#byUser.get(username) ?? [];
    setText(element("teams-state"), `${where(username, teams)}.`);
    for (const row of element("people").children) {
      row.classList.toggle("you", row.dataset.username === username);
    }
  }

  #makeRow(username) {
    const row = copyOf("person");
    row.dataset.username = username;
    setText(row.firstElementChild, username);
    for (const name of this.#names) {
      const label = copyOf("team");
      label.dataset.team = name;
      const [box, text] = label.children;
      setText(text, name);
      box.onchange = () => this.#move(row);
      row.append(label);
    }
    return row;
  }

  #move(row) {
    const user = row.dataset.username;
    const teams = [...row.querySelectorAll(":checked")]
      .map((box) => box.parentElement.dataset.team);
    this.#version += 1;
    this.#moving += 1;
    this.#moves = this.#moves.then(() => this.#send(user, teams));
  }

  async #send(user, teams) {
    const body = JSON.stringify({ user, teams });
    try {
      const people = await getJson("/demo/teams", { method: "POST", body });
      if (this.#moving === 1) this.#show(people);
    } catch ({ message }) {
      this.#draw();
      setText(element("teams-state"), `Cannot move ${user}: ${message}`);
    }
    this.#moving -= 1;
  }

  #show(people) {
    const before = this.#byUser;
    this.#byUser = teamsOf(people);
    for (const [username, teams] of this.#byUser) {
      if (`${before.get(username)}` === `${teams}`) continue;
      this.#onChange(username, where(username, teams));
    }
    this.#draw();
  }

  #draw() {
    for (const row of element("people").children) {
      const teams = this.#byUser.get(row.dataset.username) ?? [];
      for (
        const { firstElementChild: box, dataset } of row.querySelectorAll(
          "label",
        )
      ) {
        box.checked = teams.includes(dataset.team);
      }
    }
  }
}

const teamsOf = ({ users }) =>
  new Map(users.map(({ username, teams }) => [username, teams]));

function where(username, teams) {
  if (teams.length === 0) {
    return `${username} is in no team, and sees nobody else`;
  }
  const them = teams.length === 1 ? "it" : "them";
  return `${username} is in ${teams.join(" and ")}, and sees all in ${them}`;
}
