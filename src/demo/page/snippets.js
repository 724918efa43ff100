/**
 * The snippets: what to write to get the same in other places, each with a button to copy it.
 *
 * @module
 */
import { element } from "./dom.js";

const COPIED_MS = 2_000;

/** @param {string} token Of whom the page connected as, so that a copy works at once. */
export function showSnippets(token) {
  const { origin } = location;
  const socketUrl = `${origin.replace("http", "ws")}/ws`;
  element("snippet-browser").textContent =
    `const { connect } = await import("${origin}/client.js");

const token = async () =>
  (await (await fetch("/demo/token?user=bob")).json()).token;
const rollcall = connect("${socketUrl}", { token });
rollcall.on("state", (users) => console.log([...users.values()]));
rollcall.on("online", ({ user }) => console.log(user.username, "came"));
rollcall.on("offline", ({ user }) => console.log(user.username, "left"));`;
  element("snippet-curl").textContent = `curl ${origin}/users/online`;
  element("snippet-wscat").textContent =
    `npx -y wscat -s rollcall.v2 -c '${socketUrl}?token=${token}'`;
}

/** @param {(text: string) => void} say Tells those who do not see the button. */
export function startCopying(say) {
  for (const button of document.querySelectorAll("button[data-copies]")) {
    const word = button.firstChild;
    let timer = undefined;
    button.onclick = async () => {
      clearTimeout(timer);
      word.data = await copy(element(button.dataset.copies));
      say(word.data);
      timer = setTimeout(() => word.data = "Copy", COPIED_MS);
    };
  }
}

/** Where a page may not write to the clipboard, the text is selected for the keyboard's own way. */
async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    return "Selected";
  }
}
