/**
 * The session: one person's connection, from Connect to Disconnect.
 *
 * The client library does the work: it asks for a token when it needs one, comes back by
 * itself, and says where it stands. Here that becomes words. How the page looks in each
 * state is the style sheet's to know.
 *
 * @module
 */
import { connect } from "/client.js";
import { element, getJson } from "./dom.js";

const CLOSED_BY_US = 1000;

export class Session {
  /** @type {import("/client.js").Rollcall | undefined} */
  #rollcall = undefined;
  #username = "";
  #state = "idle";
  #isTold = false;
  #parts;

  /**
   * @param {{ note: (text: string) => void, changed: () => void, anew: () => void,
   *   came: (user: object) => void, left: (user: object) => void, ended: (users: Map) => void,
   *   ticket: (ticket: object) => void }} parts Called back when there is something to tell.
   */
  constructor(parts) {
    this.#parts = parts;
    showState("idle", "Not connected");
  }

  /** Who is online as the library knows; nothing before it was told, and without a session. */
  get users() {
    return this.#isTold ? this.#rollcall?.users : undefined;
  }

  /** More than there are `users` where they are too many to be named. */
  get count() {
    return this.#isTold ? this.#rollcall?.count : undefined;
  }

  get isWanted() {
    return this.#rollcall !== undefined;
  }

  /** Whether what is known is right, now. */
  get isLive() {
    return this.#state === "connected";
  }

  open(username) {
    const { came, left, anew, changed } = this.#parts;
    this.#username = username;
    this.#state = "connecting";
    this.#isTold = false;
    const rollcall = connect("/ws", { token: () => this.#getToken(username) });
    this.#rollcall = rollcall;
    // The button may be pressed twice while an old one still has something to say.
    const ifMine = (tell) => (event) => {
      if (rollcall === this.#rollcall) tell(event);
    };
    rollcall.on("status", ifMine((status) => this.#follow(status)));
    rollcall.on("state", ifMine(anew));
    rollcall.on("online", ifMine(({ user }) => came(user)));
    rollcall.on("offline", ifMine(({ user }) => left(user)));
    rollcall.on(
      "error",
      ifMine(({ message }) => this.#parts.note(asSentence(message))),
    );
    showState("connecting", `Connecting as ${username} ...`);
    changed();
  }

  close() {
    this.#rollcall?.close();
  }

  async #getToken(username) {
    const path = `/demo/token?user=${encodeURIComponent(username)}`;
    const ticket = await getJson(path);
    // Somebody else may have been chosen meanwhile.
    if (username === this.#username) this.#parts.ticket(ticket);
    return ticket.token;
  }

  #follow({ state, code, reason, retryMs }) {
    const wasConnected = this.#state === "connected";
    const why = reasonOf(code, reason);
    this.#state = state;
    switch (state) {
      case "connecting":
        showState(state, `Connecting as ${this.#username} ...`);
        break;
      case "connected":
        this.#isTold = true;
        this.#parts.note(`You connected as ${this.#username}`);
        showState(state, `Connected as ${this.#username}`);
        break;
      case "waiting":
        this.#noteEnd(wasConnected, why);
        showState(
          state,
          `Reconnecting in ${Math.ceil(retryMs / 1000)} s: ${why}`,
        );
        break;
      case "paused":
        this.#parts.note(`Paused: ${why}`);
        showState(state, `Paused: ${why}`);
        break;
      case "closed":
        this.#end(code, why, wasConnected);
        break;
    }
    this.#parts.changed();
  }

  #end(code, why, wasConnected) {
    if (this.users !== undefined) this.#parts.ended(this.users);
    this.#rollcall = undefined;
    if (code === CLOSED_BY_US) {
      this.#parts.note("You disconnected");
      showState("idle", "Not connected");
    } else {
      this.#noteEnd(wasConnected, why);
      showState("closed", `Disconnected: ${why}`);
    }
  }

  #noteEnd(wasConnected, why) {
    const what = wasConnected ? "Your connection ended" : "No connection";
    this.#parts.note(`${what}: ${why}`);
  }
}

export function showState(state, text) {
  element("state").dataset.state = state;
  element("state").textContent = text;
}

/** Browsers tell no reason for a connection that was cut, or never came to be. */
function reasonOf(code, reason) {
  const words = reason?.replace(/^cannot connect: /, "") ||
    (code === 1006 ? "the server does not answer" : "no reason given");
  return code === undefined ? words : `${words} (${code})`;
}

const asSentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
