/**
 * The demo page: a person's session, the list of who is online, and what happened.
 *
 * This file ties the parts together; each of them is a file of its own beside it.
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

/** Between two looks at the list without a connection. The page says so. */
const LOOK_UP_MS = 3_000;

/** After a disconnect: the server has written it by then. */
const LOOK_AGAIN_MS = 250;

/** Who is online as last seen without a connection, or as the last one left it. */
let seen = new Map();
let isSeen = false;
/** The last look was answered. */
let isFresh = false;
let you = undefined;

/** No count: nothing is known yet. */
const read = () => ({
  users: session.users ?? seen,
  count: session.count ?? (isSeen ? seen.size : undefined),
  you: session.isWanted ? you : undefined,
});
const known = () => {
  const isKnown = session.isWanted ? session.isLive : isFresh;
  return isKnown ? read().count : undefined;
};

const log = new Log();
const announcer = new Announcer(() => read().count ?? 0);
const roster = new Roster(read);
const session = new Session({
  note: (text) => log.note(text),
  changed: showSession,
  anew: () => {
    roster.draw();
    // Where they are too many to be named, this comes with each new number.
    if (session.users?.size > 0) learnSince();
  },
  came: (user) => {
    log.came(user);
    announcer.came(user);
    roster.draw();
  },
  left: (user) => {
    log.left(user);
    announcer.left(user);
    roster.forget(user.id);
    roster.draw();
  },
  ended: (users) => {
    seen = new Map(users);
    isSeen = isFresh = true;
    // Whether you are there still, in another tab, is the server's to say.
    setTimeout(look, LOOK_AGAIN_MS);
  },
  ticket: ({ userId, token }) => {
    you = userId;
    showSnippets(token);
  },
});

/** The library knows it of those who come while it listens, the server of the others too. */
async function learnSince() {
  const list = await getJson("/demo/since").catch(() => undefined);
  if (list !== undefined) roster.learn(list);
}

function showSession() {
  element("user").disabled = session.isWanted;
  element("connect").textContent = session.isWanted ? "Disconnect" : "Connect";
  showFreshness(
    session.isLive ? "Live: every change is told." : "As last seen.",
  );
  roster.draw();
  showSecondTab();
}

/** Without a connection, and until one has told who is there, the list is only looked up. */
async function look() {
  const isWanted = () => session.users === undefined && !document.hidden;
  const list = isWanted() && await getJson("/users/online").catch(() => false);
  if (!isWanted()) return;
  isFresh = Boolean(list);
  if (list) {
    isSeen = true;
    seen = new Map(list.online_users.map((user) => [user.id, user]));
    learnSince();
  }
  roster.draw();
  showSecondTab();
  if (session.isWanted) return;
  showFreshness(list ? "Looked up every 3 s." : "As last seen.");
}

async function lookUp() {
  await look();
  setTimeout(lookUp, LOOK_UP_MS);
}

function showFreshness(text) {
  const freshness = element("freshness");
  if (freshness.textContent !== text) freshness.textContent = text;
}

/** The second tab is for the next of the demo's users who is not online. */
function showSecondTab() {
  const { options, value } = element("user");
  const { users } = read();
  const free = [...options].find((option) =>
    option.value !== value && !users.has(Number(option.dataset.id))
  );
  const username = (free ?? options[0])?.value ?? "";
  element("second").href = `/?user=${encodeURIComponent(username)}`;
}

/** One button connects and disconnects, so that the focus never loses its place. */
function press(event) {
  event?.preventDefault();
  const { value } = element("user");
  const isLeaving = session.isWanted;
  // A reload of the page is the same person, or nobody, again.
  const query = isLeaving ? "" : `?user=${encodeURIComponent(value)}`;
  history.replaceState(null, "", `/${query}`);
  if (isLeaving) session.close();
  else session.open(value);
}

async function start() {
  showSnippets("<token>");
  startCopying((text) => announcer.say(text));
  startCrowd();
  new Chart(known);
  lookUp();
  const { users } = await getJson("/demo/users");
  for (const { id, username } of users) {
    const option = new Option(username);
    option.dataset.id = String(id);
    element("user").append(option);
  }
  showSecondTab();
  element("user").onchange = showSecondTab;
  element("form").onsubmit = press;
  element("connect").disabled = false;
  const wanted = new URL(location.href).searchParams.get("user");
  if (!users.some(({ username }) => username === wanted)) {
    if (wanted !== null) log.note(`There is no user ${wanted} here`);
    return;
  }
  element("user").value = wanted;
  press();
}

start().catch(({ message }) =>
  showState("closed", `This page cannot start: ${message}`)
);
