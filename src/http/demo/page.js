/**
 * The demo page: one person's connection, the list of who is online, and what happened.
 *
 * It speaks rollcall.v1 as any client would: open the socket, read the list, take what was
 * heard meanwhile on top of it. Names are data: they only ever become text.
 */

const RECONNECT_CODES = [1001, 1006, 1011, 1013];
const RETRY_FIRST_MS = 250;
const RETRY_LAST_MS = 10_000;
const LOG_ENTRIES_MAX = 200;

/** @param {string} id */
const element = (id) => document.getElementById(id);

/** Usernames of those online, by user id. @type {Map<number, string>} */
const online = new Map();

/** Who this tab is, from Connect to Disconnect. */
let me = undefined;
/** @type {WebSocket | undefined} */
let socket = undefined;
/** Messages that were heard while the list was on its way. */
let early = [];
let listIsHere = false;
let failures = 0;
let retryTimer = undefined;

async function getJson(path) {
  const response = await fetch(path);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error.message);
  return body;
}

async function connect(username) {
  showState("waiting", `Connecting as ${username} ...`);
  element("connect").hidden = true;
  element("disconnect").hidden = false;
  element("user").disabled = true;
  try {
    me = await getJson(`/demo/token?user=${encodeURIComponent(username)}`);
  } catch {
    me = { username };
    retry();
    return;
  }
  showSnippet(me.token);
  open();
}

function open() {
  const url = new URL("/ws", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const opening = new WebSocket(url, ["rollcall.v1", `bearer.${me.token}`]);
  socket = opening;
  early = [];
  listIsHere = false;
  opening.onopen = () => readList(opening);
  opening.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (listIsHere) take(message);
    else early.push(message);
  };
  opening.onclose = ({ code, reason }) => {
    if (opening === socket) closed(code, reason);
  };
}

/** The socket is open, so whatever the list misses will be heard. */
async function readList(opening) {
  try {
    const { online_users } = await getJson("/users/online");
    if (opening !== socket) return;
    online.clear();
    for (const { id, username } of online_users) online.set(id, username);
  } catch {
    opening.close();
    return;
  }
  online.set(me.userId, online.get(me.userId) ?? me.username);
  listIsHere = true;
  early.forEach(take);
  failures = 0;
  showState("connected", `Connected as ${me.username}`);
  note("", `You are connected as ${me.username}`);
  showOnline();
}

/** A message may repeat what the list showed; then it is no news. */
async function take({ type, userId }) {
  if (online.has(userId) === (type === "user_online")) return;
  if (type === "user_offline") {
    note("offline", `${online.get(userId)} went offline`);
    online.delete(userId);
    showOnline();
    return;
  }
  online.set(userId, `user ${userId}`);
  showOnline();
  note("online", `${await learnName(userId)} came online`);
}

/** A message has no name in it; the list has. Without one, the number stands in for it. */
async function learnName(userId) {
  try {
    const { online_users: [user] } = await getJson(
      `/users/online?ids=${userId}`,
    );
    if (user === undefined) return `user ${userId}`;
    if (online.has(userId)) online.set(userId, user.username);
    showOnline();
    return user.username;
  } catch {
    return `user ${userId}`;
  }
}

function closed(code, reason) {
  socket = undefined;
  if (me === undefined) return;
  note("", `Your connection ended: ${code} ${reason}`);
  if (RECONNECT_CODES.includes(code)) retry();
  else {disconnect(
      "refused",
      `Not connected: ${reason || `closed with ${code}`}`,
    );}
}

/** Full jitter: clients that were cut off together do not come back together. */
function retry() {
  const ms = Math.random() *
    Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** failures);
  failures += 1;
  showState("waiting", `Reconnecting in ${(ms / 1000).toFixed(1)} s ...`);
  retryTimer = setTimeout(() => connect(me.username), ms);
}

function disconnect(state, text) {
  clearTimeout(retryTimer);
  const last = socket;
  if (me !== undefined) online.delete(me.userId);
  me = undefined;
  socket = undefined;
  failures = 0;
  last?.close(1000);
  element("connect").hidden = false;
  element("disconnect").hidden = true;
  element("user").disabled = false;
  showState(state, text);
  showOnline();
}

function showState(state, text) {
  element("state").dataset.state = state;
  element("state").textContent = text;
}

/** Moves the list to what is online, touching only what changed. */
function showOnline() {
  const list = element("online");
  const items = new Map(
    [...list.children].map((item) => [Number(item.dataset.id), item]),
  );
  const wanted = [...online].sort(([a], [b]) => a - b).map(
    ([userId, username]) => {
      const item = items.get(userId) ?? createItem(userId);
      const [initial, name, you] = item.children;
      initial.textContent = [...username][0] ?? "?";
      name.textContent = username;
      you.hidden = userId !== me?.userId;
      return item;
    },
  );
  const isSame = wanted.length === list.children.length &&
    wanted.every((item, index) => item === list.children[index]);
  if (!isSame) list.replaceChildren(...wanted);
  element("count").textContent = String(online.size);
  element("nobody").hidden = online.size > 0;
  element("stale").hidden = online.size === 0 || socket !== undefined;
  showSecondTab();
}

function createItem(userId) {
  const item = document.createElement("li");
  item.dataset.id = String(userId);
  for (const name of ["initial", "name", "you"]) {
    const part = document.createElement("span");
    part.className = name;
    item.append(part);
  }
  const [initial, , you] = item.children;
  initial.setAttribute("aria-hidden", "true");
  initial.style.setProperty("--hue", String(userId * 67 % 360));
  you.textContent = "you";
  return item;
}

function note(kind, text) {
  const log = element("log");
  const entry = document.createElement("li");
  const time = document.createElement("time");
  const words = document.createElement("span");
  time.textContent = new Date().toLocaleTimeString();
  words.textContent = text;
  words.className = kind;
  entry.append(time, words);
  log.prepend(entry);
  while (log.children.length > LOG_ENTRIES_MAX) log.lastElementChild.remove();
}

/** The next of the demo's users that is not online. */
function showSecondTab() {
  const options = [...element("user").options];
  const free = options.find((option) =>
    !online.has(Number(option.dataset.id)) &&
    option.value !== element("user").value
  );
  element("second").href = `/?user=${
    encodeURIComponent((free ?? options[0]).value)
  }`;
}

function showSnippet(token) {
  element("snippet").textContent = [
    `curl ${location.origin}/users/online`,
    `npx -y wscat -c '${
      location.origin.replace("http", "ws")
    }/ws?token=${token}'`,
  ].join("\n");
}

async function start() {
  const { users } = await getJson("/demo/users");
  for (const { id, username } of users) {
    const option = new Option(username, username);
    option.dataset.id = String(id);
    element("user").append(option);
  }
  element("form").onsubmit = (event) => {
    event.preventDefault();
    connect(element("user").value);
  };
  element("disconnect").onclick = () => disconnect("idle", "Not connected");
  element("user").onchange = showSecondTab;
  showSnippet("<token>");
  for (
    const { id, username } of (await getJson("/users/online")).online_users
  ) {
    online.set(id, username);
  }
  showOnline();
  const wanted = new URL(location.href).searchParams.get("user");
  if (!users.some(({ username }) => username === wanted)) return;
  element("user").value = wanted;
  await connect(wanted);
}

start().catch((fault) =>
  showState("refused", `This page cannot start: ${fault.message}`)
);
