/**
 * The snippets: code and commands that do the same elsewhere, each with a button that copies it.
 *
 * @module
 */
import { element } from "./dom.js";

const COPIED_MS = 2_000;

/**
 * No token is in them: each command gets its own, so it runs as it is, also tomorrow.
 *
 * @param {boolean} hasTeams Whether the list is that of a user, and needs a token.
 */
export function showSnippets(hasTeams) {
  const { origin } = location;
  const socketUrl = `${origin.replace("http", "ws")}/ws`;
  element("snippet-browser").textContent =
    `const { connect } = await import("${origin}/client.js");

const token = async () =>
  (await (await fetch("/demo/token?user=bob")).json()).token;
const rollcall = connect("${socketUrl}", { token });
rollcall.on("state", (users) => console.log([...users.values()]));
rollcall.on("online", ({ user }) => console.log(user.username, "is online"));
rollcall.on("offline", ({ user }) => console.log(user.username, "is offline"));`;
  const token = `$(curl -s '${origin}/demo/token.txt?user=bob')`;
  const header = hasTeams ? `-H "Authorization: Bearer ${token}" ` : "";
  element("snippet-curl").textContent = `curl ${header}${origin}/users/online`;
  element("snippet-wscat").textContent =
    `npx -y wscat -s rollcall.v2 -c "${socketUrl}?token=${token}"`;
}

/** @param {(text: string) => void} announce Speaks the result to users of a screen reader. */
export function startCopying(announce) {
  for (const button of document.querySelectorAll("button[data-copies]")) {
    const label = button.firstChild;
    let timer = undefined;
    button.onclick = async () => {
      clearTimeout(timer);
      label.data = await copy(element(button.dataset.copies));
      announce(label.data);
      timer = setTimeout(() => label.data = "Copy", COPIED_MS);
    };
  }
}

/** If the page may not write to the clipboard, the text is selected, so that the user can copy it. */
async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    return "Selected";
  }
}
