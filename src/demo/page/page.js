/**
 * The demo page: a user's session, the faces of who is online, simulated users, and an event log.
 *
 * This file connects the parts; each part is a file beside it. With a session, the faces
 * follow the client library. Without one, or before its first snapshot, the page polls
 * `GET /users/online`.
 *
 * @module
 */
import { Announcer } from "./announcer.js";
import { Chart } from "./chart.js";
import { isSimulated, startCrowd } from "./crowd.js";
import { element, getJson, oncePerFrame } from "./dom.js";
import { Faces } from "./faces.js";
import { showGuide } from "./guide.js";
import { showHeadline, showTitle } from "./headline.js";
import { Log } from "./log.js";
import { Session, showState } from "./session.js";
import { showSnippets, startCopying } from "./snippets.js";
import { Teams } from "./teams.js";

/** The time between two polls. The page shows it. */
const POLL_MS = 3_000;

/** After Disconnect the server has written the change by this time. */
const POLL_AFTER_CLOSE_MS = 250;

/** Time between two updates of relative times and of the chart. */
const TICK_MS = 1_000;

const LAST_KNOWN = "This is the last known list.";

/** The online users without a session: from the last poll, or from the session that ended. */
let polled = new Map();
let hasPolled = false;
/** Whether the last poll was answered, or not. Before the first one neither. */
let isPollCurrent = false;
let isPollFailed = false;
let you = undefined;

const read = () => ({
  users: session.users ?? polled,
  /** `undefined` while nothing is known. */
  count: session.count ?? (hasPolled ? polled.size : undefined),
  you: session.isOpen ? you : undefined,
});
const isCurrent = () =>
  session.users === undefined ? isPollCurrent : session.isConnected;

const log = new Log();
const announcer = new Announcer(() => read().count ?? 0);
const session = new Session({
  note: (text) => log.note(text),
  onConnection: show,
  onReset: () => {
    show();
    // With counts instead of names, this event comes with each new count.
    if (session.users?.size > 0) fetchSince();
  },
  onOnline: (user) => onTransition("online", user),
  onOffline: (user) => {
    faces.forgetSince(user.id);
    onTransition("offline", user);
  },
  onClosed: (users) => {
    polled = new Map(users);
    hasPolled = isPollCurrent = true;
    // The user may still be online, in another tab. Only the server knows.
    setTimeout(poll, POLL_AFTER_CLOSE_MS);
  },
  onYou: (userId) => you = userId,
});
const teams = new Teams((username, sentence) => {
  if (username === session.username) log.note(sentence);
  show();
});
const faces = new Faces(read);
const chart = new Chart(() => isCurrent() ? read().count : undefined);
const draw = oncePerFrame(() => {
  const { users, count } = read();
  const people = [...users.values()].filter((user) => !isSimulated(user));
  showHeadline({
    ...{ count, freshness: freshness(), isCurrent: isCurrent() },
    simulated: users.size - people.length,
  });
  const selected = element("user").value;
  const second = secondUser(people);
  teams.explain(selected);
  showGuide({
    ...{ selected, second, hasTeams: teams.isOn },
    isInSight: teams.share(selected, second),
    ...{ count, names: users.size, people: people.length },
    ...{ isOpen: session.isOpen, isConnected: session.isConnected },
  });
  chart.note();
});

/** Shows what changed, in the next frame. */
function show() {
  element("user").disabled = session.isOpen;
  faces.draw();
  draw();
}

/** A page in the background draws no frames, but its title can be seen. */
function tick() {
  showTitle(session.username, read().count);
  if (!document.hidden) {
    log.tick();
    faces.draw();
  }
  chart.tick();
}

function onTransition(kind, user) {
  log.record(kind, user);
  announcer.record(kind, user);
  // The user of this tab, or the other one, may have been moved to another team.
  if (!isSimulated(user)) teams.read();
  show();
}

/** The client library knows the time only for users who come online while it is connected. */
async function fetchSince() {
  const list = await getJson("/demo/since").catch(() => undefined);
  if (list !== undefined) faces.setSince(list);
}

/** Fetches the online users, unless a session has them. */
async function poll() {
  const isNeeded = () => session.users === undefined && !document.hidden;
  const list = isNeeded() && await getList().catch(() => false);
  if (!isNeeded()) return;
  isPollCurrent = Boolean(list);
  isPollFailed = !list;
  if (list) {
    hasPolled = true;
    polled = new Map(list.online_users.map((user) => [user.id, user]));
    fetchSince();
  }
  show();
}

/** With teams, the list that the selected user sees. */
async function getList() {
  if (!teams.isOn) return await getJson("/users/online");
  const user = encodeURIComponent(element("user").value);
  const { token } = await getJson(`/demo/token?user=${user}`);
  const headers = { authorization: `Bearer ${token}` };
  return await getJson("/users/online", { headers });
}

async function keepPolling() {
  await poll();
  setTimeout(keepPolling, POLL_MS);
}

/** How current the number and the faces are. */
function freshness() {
  if (session.isConnected) return "Changes appear at once.";
  if (session.users !== undefined) return LAST_KNOWN;
  if (isPollCurrent) return "The list is read every 3 s.";
  if (!isPollFailed) return "Loading ...";
  return `The server does not answer. ${hasPolled ? LAST_KNOWN : ""}`;
}

/** The first of the demo's users who is not online and not selected here; one in sight, if there is one. */
function secondUser(people) {
  const { options, value } = element("user");
  const online = new Set(people.map(({ username }) => username));
  const free = [...options].map(({ value }) => value).filter((username) =>
    username !== value && !online.has(username)
  );
  const first = free.find((username) => teams.share(username, value));
  return first ?? free[0] ?? options[0]?.value ?? "";
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

/** Returns the demo's users, when it is known whether they have teams. */
async function startPeople() {
  const people = await getJson("/demo/users");
  const { users } = people;
  element("user").append(...users.map(({ username }) => new Option(username)));
  teams.start(people);
  showSnippets(teams.isOn);
  return users;
}

async function start() {
  startCopying((text) => announcer.speak(text));
  startCrowd();
  setInterval(tick, TICK_MS);
  const users = await startPeople().finally(() => {
    keepPolling();
  });
  element("user").onchange = () => {
    show();
    if (teams.isOn) poll();
  };
  element("form").onsubmit = onSubmit;
  element("connect").disabled = false;
  show();
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
