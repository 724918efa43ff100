/**
 * The session: one user's connection, from the button Connect to the button Disconnect.
 *
 * The client library does the work: it calls for a token, reconnects, and reports the state of
 * the connection. This file turns that into words. It does not know how the page looks in each
 * state; the style sheet does.
 *
 * @module
 */
import { connect } from "/client.js";
import { element, getJson } from "./dom.js";

/** The close code after Disconnect. */
const NORMAL_CLOSURE = 1000;

export class Session {
  /** @type {import("/client.js").Rollcall | undefined} */
  #rollcall = undefined;
  #username = "";
  #state = "idle";
  #hasSnapshot = false;
  #deps;

  /**
   * @param {{ note: (text: string) => void, onConnection: () => void, onReset: () => void,
   *   onOnline: (user: object) => void, onOffline: (user: object) => void,
   *   onClosed: (users: Map) => void, onYou: (userId: number | string) => void }} deps
   *   `onClosed` gets the last users, if there were any. `note` writes to the event log.
   */
  constructor(deps) {
    this.#deps = deps;
    showState("idle", "Not connected");
  }

  /** The online users; `undefined` without a session, and before its first snapshot. */
  get users() {
    return this.#hasSnapshot ? this.#rollcall?.users : undefined;
  }

  /** Larger than `users.size` if the server sends a count instead of names. */
  get count() {
    return this.#hasSnapshot ? this.#rollcall?.count : undefined;
  }

  get username() {
    return this.isOpen ? this.#username : undefined;
  }

  get isOpen() {
    return this.#rollcall !== undefined;
  }

  /** Whether `users` is current. */
  get isConnected() {
    return this.#state === "connected";
  }

  open(username) {
    const { onOnline, onOffline, onReset, onConnection, note } = this.#deps;
    this.#username = username;
    this.#state = "connecting";
    this.#hasSnapshot = false;
    const rollcall = connect("/ws", { token: () => this.#getToken(username) });
    this.#rollcall = rollcall;
    // Ignores events of an earlier connection: the button may be pressed twice.
    const ifCurrent = (handle) => (event) => {
      if (rollcall === this.#rollcall) handle(event);
    };
    rollcall.on("connection", ifCurrent((info) => this.#onConnection(info)));
    rollcall.on("state", ifCurrent(onReset));
    rollcall.on("online", ifCurrent(({ user }) => onOnline(user)));
    rollcall.on("offline", ifCurrent(({ user }) => onOffline(user)));
    rollcall.on("error", ifCurrent(({ message }) => note(asSentence(message))));
    showState("connecting", `Connecting as ${username} ...`);
    onConnection();
  }

  close() {
    this.#rollcall?.close();
  }

  async #getToken(username) {
    const path = `/demo/token?user=${encodeURIComponent(username)}`;
    const response = await getJson(path);
    // Ignores a response for a user who is no longer selected.
    if (username === this.#username) this.#deps.onYou(response.userId);
    return response.token;
  }

  #onConnection({ state, code, reason, retryMs }) {
    const wasConnected = this.#state === "connected";
    const why = inWords(code, reason);
    this.#state = state;
    switch (state) {
      case "connecting":
        showState(state, `Connecting as ${this.#username} ...`);
        break;
      case "connected":
        this.#hasSnapshot = true;
        this.#deps.note(`You connected as ${this.#username}`);
        showState(state, `Connected as ${this.#username}`);
        break;
      case "reconnecting": {
        this.#noteEnd(wasConnected, why);
        const seconds = Math.ceil(retryMs / 1000);
        showState(state, `Reconnecting in ${seconds} s: ${why}`);
        break;
      }
      case "offline":
        this.#deps.note(`Offline: ${why}`);
        showState(state, `Offline: ${why}`);
        break;
      case "closed":
        this.#onClosed(code, why, wasConnected);
        break;
    }
    this.#deps.onConnection();
  }

  #onClosed(code, why, wasConnected) {
    if (this.users !== undefined) this.#deps.onClosed(this.users);
    this.#rollcall = undefined;
    if (code === NORMAL_CLOSURE) {
      this.#deps.note("You disconnected");
      showState("idle", "Not connected");
    } else {
      this.#noteEnd(wasConnected, why);
      showState("closed", `Disconnected: ${why}`);
    }
  }

  #noteEnd(wasConnected, why) {
    const what = wasConnected ? "Your connection ended" : "Cannot connect";
    this.#deps.note(`${what}: ${why}`);
  }
}

export function showState(state, text) {
  element("state").dataset.state = state;
  element("state").textContent = text;
}

/** The reason and the close code, for example `server going away (1001)`. */
function inWords(code, reason) {
  const words = reason?.replace(/^cannot connect: /, "") || "no reason given";
  return code === undefined ? words : `${words} (${code})`;
}

const asSentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
