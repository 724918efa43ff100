/**
 * The demo page: one person's connection, the list of who is online, and what happened.
 *
 * It speaks rollcall.v1 as any client would: open the socket, then read the list, then take
 * what was heard meanwhile on top of it. Names are data: they only ever become text.
 * How the page looks in each state is the style sheet's to know.
 *
 * @module
 */

/** After these, coming back would not help. The whole table is CLOSE in src/protocol.ts. */
const FINAL_CODES = [1008, 1009, 4429];
/** Ours, for a socket whose list could not be read. */
const NO_LIST_CODE = 4000;
const RETRY_FIRST_MS = 500;
const RETRY_MS_MAX = 10_000;
/** A connection that lasted so long was a good one: the next fault counts as the first. */
const STEADY_MS = 10_000;
const FETCH_MS_MAX = 5_000;
/** Between two looks at the list without a connection. The page says so. */
const LOOK_UP_MS = 3_000;
const LOG_ENTRIES_MAX = 200;
const SOCKET_URL = `${location.origin.replace("http", "ws")}/ws`;

/** @param {string} id */
const element = (id) => document.getElementById(id);

/** Usernames of those online, by user id. @type {Map<number, string>} */
const online = new Map();

/**
 * From Connect to Disconnect, over all reconnects. Whoever awaited something compares its
 * session with this one before it acts: the person may have pressed the button meanwhile.
 *
 * @type {undefined | { username: string, userId?: number, socket?: WebSocket,
 *   connectedAt?: number, failures: number, retryTimer?: number }}
 */
let session = undefined;

async function getJson(path) {
  const signal = AbortSignal.timeout(FETCH_MS_MAX);
  const response = await fetch(path, { signal, cache: "no-store" });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error.message);
  return body;
}

async function open(mine) {
  showState("waiting", `Connecting as ${mine.username} ...`);
  const path = `/demo/token?user=${encodeURIComponent(mine.username)}`;
  const ticket = await getJson(path).catch(() => undefined);
  if (mine !== session) return;
  if (ticket === undefined) return retry(mine);
  mine.userId = ticket.userId;
  showSnippet(ticket.token);
  const protocols = ["rollcall.v1", `bearer.${ticket.token}`];
  const socket = new WebSocket(SOCKET_URL, protocols);
  const early = [];
  mine.socket = socket;
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (mine.connectedAt === undefined) early.push(message);
    else take(message);
  };
  socket.onopen = async () => {
    const list = await getJson("/users/online").catch(() => undefined);
    if (mine !== session || mine.socket !== socket) return;
    if (list === undefined) return socket.close(NO_LIST_CODE, "no list");
    mine.connectedAt = performance.now();
    showState("connected", `Connected as ${mine.username}`);
    note("", `You connected as ${mine.username}`);
    setOnline(list.online_users);
    early.forEach(take);
  };
  socket.onclose = (event) => {
    if (mine === session) ended(mine, event);
  };
}

/** A message may repeat what the list showed; then it is no news. */
function take({ type, userId }) {
  if (type === "user_online" && !online.has(userId)) {
    online.set(userId, `user ${userId}`);
    note("online", "came online", userId);
    learnName(userId);
  } else if (type === "user_offline" && online.has(userId)) {
    note("offline", "went offline", userId);
    online.delete(userId);
  }
  showOnline();
}

/** A message has no name in it; the list has. Without one, the number stands in for it. */
async function learnName(userId) {
  const answer = await getJson(`/users/online?ids=${userId}`).catch(() => {});
  const user = answer?.online_users[0];
  if (user === undefined) return;
  if (online.has(userId)) online.set(userId, user.username);
  for (const who of element("log").querySelectorAll(`[data-id="${userId}"]`)) {
    who.textContent = user.username;
  }
  showOnline();
}

function ended(mine, { code, reason }) {
  const why = `${reason || "no reason given"} (${code})`;
  const lastedMs = performance.now() - (mine.connectedAt ?? Infinity);
  if (lastedMs >= STEADY_MS) mine.failures = 0;
  mine.socket = mine.connectedAt = undefined;
  note("", `Your connection ended: ${why}`);
  if (FINAL_CODES.includes(code)) leave("refused", `Disconnected: ${why}`);
  else retry(mine);
}

/** Full jitter: clients that were cut off together do not come back together. */
function retry(mine) {
  const ms = Math.random() *
    Math.min(RETRY_MS_MAX, RETRY_FIRST_MS * 2 ** mine.failures);
  mine.failures += 1;
  mine.retryTimer = setTimeout(() => open(mine), ms);
  showState("waiting", `Reconnecting in ${Math.ceil(ms / 1000)} s ...`);
}

function leave(state, text) {
  const { userId, socket, retryTimer } = session;
  session = undefined;
  clearTimeout(retryTimer);
  socket?.close(1000);
  online.delete(userId);
  showState(state, text);
  showOnline();
}

/** Without a connection the list is only looked up, now and then. */
async function lookUp() {
  const isWanted = () => session?.socket === undefined && !document.hidden;
  const list = isWanted() && await getJson("/users/online").catch(() => false);
  if (isWanted()) {
    if (list) setOnline(list.online_users);
    showFreshness(list ? "Looked up every 3 s." : "As last seen.");
  }
  setTimeout(lookUp, LOOK_UP_MS);
}

/** Takes a list as it is, but for this connection: the list may be older than it. */
function setOnline(users) {
  online.clear();
  for (const { id, username } of users) online.set(id, username);
  if (session?.connectedAt !== undefined && !online.has(session.userId)) {
    online.set(session.userId, session.username);
  }
  showOnline();
}

function showState(state, text) {
  element("state").dataset.state = state;
  element("state").textContent = text;
  element("user").disabled = session !== undefined;
  element("connect").textContent = session ? "Disconnect" : "Connect";
  showFreshness(
    state === "connected" ? "Live: every change is told." : "As last seen.",
  );
}

const showFreshness = (text) => element("freshness").textContent = text;

/** Moves the list to what is online, touching only what changed. */
function showOnline() {
  const list = element("online");
  const items = new Map();
  for (const item of [...list.children]) {
    const userId = Number(item.dataset.id);
    if (online.has(userId)) items.set(userId, item);
    else item.remove();
  }
  const ascending = [...online].sort(([a], [b]) => a - b);
  for (const [index, [userId, username]] of ascending.entries()) {
    const item = items.get(userId) ?? createItem(userId);
    const [initial, name, you] = item.children;
    initial.textContent = [...username][0] ?? "?";
    name.textContent = username;
    you.hidden = userId !== session?.userId;
    const place = list.children[index] ?? null;
    if (item !== place) list.insertBefore(item, place);
  }
  element("count").textContent = String(online.size);
  showSecondTab();
}

function createItem(userId) {
  const item = copyOf("item");
  item.dataset.id = String(userId);
  item.style.setProperty("--hue", String(userId * 67 % 360));
  return item;
}

/** Puts an entry on top of the log. With a user id it is about that user, who is online. */
function note(kind, what, userId) {
  const log = element("log");
  const entry = copyOf("entry");
  const [time, words] = entry.children;
  const [who] = words.children;
  time.textContent = new Date().toLocaleTimeString();
  words.className = kind;
  if (userId === undefined) words.textContent = what;
  else {
    who.dataset.id = String(userId);
    who.textContent = online.get(userId);
    words.append(what);
  }
  log.prepend(entry);
  while (log.children.length > LOG_ENTRIES_MAX) log.lastElementChild.remove();
}

const copyOf = (id) => element(id).content.firstElementChild.cloneNode(true);

/** The second tab is for the next of the demo's users who is not online. */
function showSecondTab() {
  const { options, value } = element("user");
  const free = [...options].find((option) =>
    option.value !== value && !online.has(Number(option.dataset.id))
  );
  const username = (free ?? options[0])?.value ?? "";
  element("second").href = `/?user=${encodeURIComponent(username)}`;
}

function showSnippet(token) {
  element("terminal").textContent = [
    `curl ${location.origin}/users/online`,
    `npx -y wscat -c '${SOCKET_URL}?token=${token}'`,
  ].join("\n");
}

/** One button connects and disconnects, so that the focus never loses its place. */
function press(event) {
  event?.preventDefault();
  if (session !== undefined) {
    note("", "You disconnected");
    leave("idle", "Not connected");
    return;
  }
  session = { username: element("user").value, failures: 0 };
  open(session);
}

async function start() {
  showSnippet("<token>");
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
  if (!users.some(({ username }) => username === wanted)) return;
  element("user").value = wanted;
  press();
}

start().catch(({ message }) =>
  showState("refused", `This page cannot start: ${message}`)
);
