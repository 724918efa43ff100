/**
 * The administrators' page. It asks for the token, and then for the status every few seconds.
 *
 * The token is in a variable of this file and nowhere else: not in the address, not in a cookie, not
 * in the browser's storage, which browsers write to disk.
 *
 * @module
 */
import { drawStatus, element } from "./draw.js";

const REFRESH_MS = 5_000;
const ANSWER_MS_MAX = 5_000;
const MINUTE_MS = 60_000;

/** Undefined until the server has accepted one. */
let token;
/** The user to look for. */
let user = "";
/** Earlier statuses of the last minute, oldest first. */
let history = [];
let timer;

element("insecure").hidden = location.protocol === "https:" ||
  /^(localhost|127\.0\.0\.1|\[::1\])$/.test(location.hostname);

element("login").addEventListener("submit", (event) => {
  event.preventDefault();
  void refresh(element("token").value);
});

element("find").addEventListener("submit", (event) => {
  event.preventDefault();
  user = element("user").value.trim();
  void refresh(token);
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && token !== undefined) void refresh(token);
});

/** Asks for the status and shows it, now and from then on. */
async function refresh(candidate) {
  clearTimeout(timer);
  const answer = await ask(candidate);
  if (answer.status === "accepted") {
    token = candidate;
    element("token").value = "";
    show(answer.body);
  } else if (answer.status === "refused") {
    forget(answer.reason);
  } else if (token === undefined) {
    element("refusal").textContent = answer.reason;
  } else {
    element("updated").className = "bad";
    const last = timeOf(history.at(-1)?.at);
    element("updated").textContent =
      `${answer.reason}; this is the status of ${last}`;
  }
  if (token !== undefined && !document.hidden) {
    clearTimeout(timer);
    timer = setTimeout(() => refresh(token), REFRESH_MS);
  }
}

async function ask(candidate) {
  const query = user === "" ? "" : `?user=${encodeURIComponent(user)}`;
  try {
    const response = await fetch(`/admin/status${query}`, {
      headers: { authorization: `Bearer ${candidate}` },
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    const body = await response.json();
    if (response.ok) return { status: "accepted", body };
    const { message } = body.error;
    if (response.status === 400) return { status: "failed", reason: message };
    return { status: "refused", reason: message };
  } catch {
    return { status: "failed", reason: "the node does not answer" };
  }
}

function forget(reason) {
  token = undefined;
  history = [];
  element("status").hidden = true;
  element("login").hidden = false;
  element("refusal").textContent = reason;
  element("token").focus();
}

/** The time of day. */
const timeOf = (at) => new Date(at).toLocaleTimeString();

function show(status) {
  const now = Date.parse(status.at);
  history = history.filter(({ at }) => now - Date.parse(at) <= MINUTE_MS);
  history.push(status);
  element("login").hidden = true;
  element("status").hidden = false;
  const { node } = status;
  const name = `${node.host || "unknown machine"}, process ${node.pid}`;
  document.title = `Rollcall on ${name}`;
  element("who").textContent = `${node.version} on ${name}`;
  element("updated").className = "";
  element("updated").textContent = `as of ${timeOf(status.at)}`;
  drawStatus(status, history[0]);
}
