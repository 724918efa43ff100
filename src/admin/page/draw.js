/**
 * Draws a status: lists, tables and numbers. All of it is text, so nothing in it can be a script.
 *
 * @module
 */
import { duration, findProblems, numbersOf } from "./judge.js";

/** @param {string} id */
export const element = (id) => document.getElementById(id);

/** @param earlier The oldest status of the last minute, to say what happened since. */
export function drawStatus(status, earlier) {
  drawProblems(findProblems(status));
  drawNumbers(numbersOf(status));
  drawNodes(status);
  drawUser(status);
  drawCounts("refusals", status, earlier, ["status", "reason"]);
  drawCounts("closes", status, earlier, ["code", "reason", "by"]);
  drawTable("slow", "No connection has unsent bytes.", [
    ["User", ({ userId }) => userId],
    ["Version", ({ version }) => version],
    ["Unsent bytes", ({ unsentBytes }) => unsentBytes, "number"],
  ], status.slowConsumers);
  const none = status.snapshots === undefined
    ? "Not known: the database cannot be read."
    : "None is held.";
  drawTable("snapshots", none, [
    ["Held by", ({ holder }) => holder, "words"],
    ["For at least", ({ seconds }) => duration(seconds), "number"],
  ], status.snapshots ?? []);
  drawTable("warnings", "None since the process started.", [
    ["Time", ({ at }) => new Date(at).toLocaleString()],
    ["Level", ({ level }) => level],
    ["Event", ({ event }) => event, "words"],
    ["Details", ({ details }) => details, "words"],
  ], status.warnings);
}

function drawProblems(problems) {
  const items = problems.length === 0
    ? [["good", "Nothing that this node can see."]]
    : problems.map((problem) => ["bad", problem]);
  element("problems").replaceChildren(...items.map(([className, words]) => {
    const item = make("li", words);
    item.className = className;
    return item;
  }));
}

function drawNumbers(numbers) {
  const parts = numbers.flatMap(([name, value]) => [
    make("dt", name),
    make("dd", value),
  ]);
  element("numbers").replaceChildren(...parts);
}

function drawNodes({ at, nodes, databaseError, node }) {
  const age = (since) => duration((Date.parse(at) - Date.parse(since)) / 1_000);
  const none = `The database does not tell: ${databaseError}.`;
  const rows = drawTable("nodes", none, [
    [
      "Machine",
      ({ host, id }) =>
        `${host || "unknown"}${id === node.id ? " (this node)" : ""}`,
      "words",
    ],
    ["Connections", ({ connections }) => connections, "number"],
    ["State", ({ state }) => state],
    ["Lease", ({ leaseSeconds }) => duration(leaseSeconds), "number"],
    ["Up for", ({ joinedAt }) => age(joinedAt), "number"],
    ["Process", ({ pid }) => pid, "number"],
    ["Id", ({ id }) => id.slice(0, 8)],
  ], nodes ?? []);
  rows.forEach((row, index) => {
    const { id, state } = nodes[index];
    if (id === node.id) row.setAttribute("aria-current", "true");
    if (state === "expired") row.children[2].className = "bad";
  });
}

function drawUser({ user, nodes = [] }) {
  if (user === undefined) return element("found").replaceChildren();
  const { id, username, changedAt, connections } = user;
  const name = username === undefined ? "" : `, ${username},`;
  const since = changedAt === undefined
    ? ""
    : ` since ${new Date(changedAt).toLocaleString()}`;
  const on = user.nodes.map((nodeId) => {
    const node = nodes.find((each) => each.id === nodeId);
    return node === undefined
      ? nodeId
      : `${node.host || "unknown"} (process ${node.pid})`;
  });
  const state = user.nodes.length === 0
    ? `offline${since || ", and was never online"}`
    : `online${since}, on ${on.join(", ")}`;
  const list = document.createElement("ul");
  list.append(...connections.map((one) =>
    make(
      "li",
      `here: version ${one.version}, ${one.state}, ${one.unsentBytes} unsent bytes, token expires in ${
        duration(one.tokenExpiresInSeconds)
      }`,
    )
  ));
  element("found").replaceChildren(
    make("p", `${id}${name} is ${state}.`),
    list,
  );
}

/** A counter with labels, the largest first, and what was added since an earlier status. */
function drawCounts(name, status, earlier, labels) {
  const keyOf = (sample) => labels.map((label) => sample[label]).join(" ");
  const before = new Map(
    earlier[name].map((sample) => [keyOf(sample), sample.count]),
  );
  const seconds = (Date.parse(status.at) - Date.parse(earlier.at)) / 1_000;
  const samples = status[name]
    .map((sample) => ({
      ...sample,
      added: sample.count - (before.get(keyOf(sample)) ?? 0),
    }))
    .sort((a, b) => b.added - a.added || b.count - a.count);
  drawTable(name, "None since the process started.", [
    ...labels.map((label) => [
      label[0].toUpperCase() + label.slice(1),
      (sample) => sample[label],
      label === "reason" ? "words" : undefined,
    ]),
    ...(seconds < 1
      ? []
      : [[`Last ${duration(seconds)}`, ({ added }) => added, "number"]]),
    ["Total", ({ count }) => count, "number"],
  ], samples);
}

/**
 * Draws a table, or a sentence where there are no rows. Returns the rows.
 *
 * @param columns For each its title, its value by row, and its class.
 */
function drawTable(id, none, columns, values) {
  const table = element(id);
  if (values.length === 0) {
    const caption = make("caption", none);
    caption.className = "none";
    table.replaceChildren(caption);
    return [];
  }
  const head = document.createElement("tr");
  for (const [title, , className = ""] of columns) {
    const cell = make("th", title);
    cell.scope = "col";
    cell.className = className;
    head.append(cell);
  }
  const rows = values.map((value) => {
    const row = document.createElement("tr");
    for (const [, read, className = ""] of columns) {
      const cell = make("td", read(value));
      cell.className = className;
      row.append(cell);
    }
    return row;
  });
  table.replaceChildren(head, ...rows);
  return rows;
}

function make(tag, words) {
  const made = document.createElement(tag);
  made.textContent = String(words);
  return made;
}
