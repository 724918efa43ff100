/**
 * The panel of simulated users: adds them on the server, and removes them.
 *
 * It does not know which of them are online: they are in the roster, as all users are.
 *
 * @module
 */
import { element, getJson } from "./dom.js";

const PATH = "/demo/crowd";
/** Another tab may change the number of simulated users. */
const POLL_MS = 3_000;
const whole = new Intl.NumberFormat("en");

/** The number that is on the page. @type {number | undefined} */
let shownSize = undefined;

export function startCrowd() {
  for (const button of element("crowd").querySelectorAll("[data-add]")) {
    const body = JSON.stringify({ add: Number(button.dataset.add) });
    button.onclick = () => send({ method: "POST", body });
  }
  element("crowd-remove").onclick = () => send({ method: "DELETE" });
  poll();
}

async function send(options) {
  try {
    show(await getJson(PATH, options));
  } catch ({ message }) {
    element("crowd-state").textContent =
      `Cannot change the simulated users: ${message}`;
  }
}

/** An error stays on the page until the number of simulated users changes. */
async function poll() {
  if (!document.hidden) {
    const crowd = await getJson(PATH).catch(() => undefined);
    if (crowd !== undefined && crowd.size !== shownSize) show(crowd);
  }
  setTimeout(poll, POLL_MS);
}

function show({ size, max }) {
  shownSize = size;
  element("crowd-state").textContent = size === 0
    ? "No simulated users. Each one that you add has a real connection to this server."
    : `${whole.format(size)} simulated users, at most ${whole.format(max)}. ` +
      "From time to time one of them disconnects and connects again.";
}
