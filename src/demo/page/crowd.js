/**
 * The simulated users: which users are simulated, and the buttons that add and remove them.
 *
 * It does not know which of them are online: they are among all other users.
 *
 * @module
 */
import { element, getJson } from "./dom.js";

const PATH = "/demo/crowd";
/** Another tab may change the number of simulated users. */
const POLL_MS = 3_000;
const whole = new Intl.NumberFormat("en");

/** The names that the server gives to simulated users, and to no others. */
const NAME = /^[a-z]+-[a-z]+-\d+$/;

/** @param {{ username: string }} user */
export const isSimulated = ({ username }) => NAME.test(username);

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
    ? "No simulated users. Each has a connection of its own."
    : `${whole.format(size)} simulated, at most ${
      whole.format(max)
    }. Now and then one leaves for a few seconds.`;
}
