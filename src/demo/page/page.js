/**
 * The demo page: a user's session, the list of online users, simulated users, and an event log.
 *
 * This file connects the parts; each part is a file beside it. With a session, the list
 * follows the client library. Without one, or before its first snapshot, the page polls
 * `GET /users/online`.
 *
 * @module
 */
import { Chart } from "./chart.js";
import { startCrowd } from "./crowd.js";
import { element, getJson } from "./dom.js";
import { Announcer, Log } from "./log.js";
import { Roster } from "./roster.js";
import { Session, showState } from "./session.js";
import { showSnippets, startCopying } from "./snippets.js";

/** The time between two polls. The page shows it. */
const POLL_MS = 3_000;

/** After Disconnect the server has written the change by this time. */
const POLL_AFTER_CLOSE_MS = 250;

const NOT_LIVE = "Not live: the last known list.";

/** The online users without a session: from the last poll, or from the session that ended. */
let polled = new Map();
let hasPolled = false;
/** Whether the last poll was answered. */
let isPollCurrent = false;
let you = undefined;

/** `count` is `undefined` while nothing is known. */
const read = () => ({
  users: session.users ?? polled,
  count: session.count ?? (hasPolled ? polled.size : undefined),
  you: session.isOpen ? you : undefined,
});
const readCurrentCount = () => {
  const isCurrent = session.isOpen ? session.isConnected : isPollCurrent;
  return isCurrent ? read().count : undefined;
};

const log = new Log();
const announcer = new Announcer(() => read().count ?? 0);
const roster = new Roster(read);
const session = new Session({
  note: (text) => log.note(text),
  onConnection: showSession,
  onReset: () => {
    roster.draw();
    // With counts instead of names, this event comes with each new count.
    if (session.users?.size > 0) fetchSince();
  },
  onOnline: (user) => {
    log.online(user);
    announcer.online(user);
    roster.draw();
  },
  onOffline: (user) => {
    log.offline(user);
    announcer.offline(user);
    roster.forgetSince(user.id);
    roster.draw();
  },
  onClosed: (users) => {
    polled = new Map(users);
    hasPolled = isPollCurrent = true;
    // The user may still be online, in another tab. Only the server knows.
    setTimeout(poll, POLL_AFTER_CLOSE_MS);
  },
  onToken: ({ userId, token }) => {
    you = userId;
    showSnippets(token);
  },
});

/** The client library knows the time only for users who come online while it is connected. */
async function fetchSince() {
  const list = await getJson("/demo/since").catch(() => undefined);
  if (list !== undefined) roster.setSince(list);
}

function showSession() {
  element("user").disabled = session.isOpen;
  element("connect").textContent = session.isOpen ? "Disconnect" : "Connect";
  showFreshness(
    session.isConnected ? "Live: changes appear at once." : NOT_LIVE,
  );
  roster.draw();
  showSecondTab();
}

/** Fetches the online users, unless a session has them. */
async function poll() {
  const isNeeded = () => session.users === undefined && !document.hidden;
  const list = isNeeded() && await getJson("/users/online").catch(() => false);
  if (!isNeeded()) return;
  isPollCurrent = Boolean(list);
  if (list) {
    hasPolled = true;
    polled = new Map(list.online_users.map((user) => [user.id, user]));
    fetchSince();
  }
  roster.draw();
  showSecondTab();
  if (session.isOpen) return;
  showFreshness(list ? "Not live: updated every 3 s." : NOT_LIVE);
}

async function keepPolling() {
  await poll();
  setTimeout(keepPolling, POLL_MS);
}

function showFreshness(text) {
  const freshness = element("freshness");
  if (freshness.textContent !== text) freshness.textContent = text;
}

/** The link to a second tab selects the first of the demo's users who is not online. */
function showSecondTab() {
  const { options, value } = element("user");
  const { users } = read();
  const free = [...options].find((option) =>
    option.value !== value && !users.has(Number(option.dataset.id))
  );
  const username = (free ?? options[0])?.value ?? "";
  element("second").href = `/?user=${encodeURIComponent(username)}`;
}

/** One button connects and disconnects, so that it keeps the keyboard focus. */
function onSubmit(event) {
  event?.preventDefault();
  const { value } = element("user");
  const isClosing = session.isOpen;
  // After a reload the page connects as the same user, or does not connect, as now.
  const query = isClosing ? "" : `?user=${encodeURIComponent(value)}`;
  history.replaceState(null, "", `/${query}`);
  if (isClosing) session.close();
  else session.open(value);
}

async function start() {
  showSnippets("<token>");
  startCopying((text) => announcer.speak(text));
  startCrowd();
  new Chart(readCurrentCount);
  keepPolling();
  const { users } = await getJson("/demo/users");
  for (const { id, username } of users) {
    const option = new Option(username);
    option.dataset.id = String(id);
    element("user").append(option);
  }
  showSecondTab();
  element("user").onchange = showSecondTab;
  element("form").onsubmit = onSubmit;
  element("connect").disabled = false;
  const wanted = new URL(location.href).searchParams.get("user");
  if (!users.some(({ username }) => username === wanted)) {
    if (wanted !== null) log.note(`There is no demo user ${wanted}`);
    return;
  }
  element("user").value = wanted;
  onSubmit();
}

start().catch(({ message }) =>
  showState("closed", `Cannot start this page: ${message}`)
);
