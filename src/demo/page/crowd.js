/**
 * The crowd: simulated users to order from the server, and to send away.
 *
 * Whether they are online is told by the list, as of anybody.
 *
 * @module
 */
import { element, getJson } from "./dom.js";

const PATH = "/demo/crowd";
/** Another tab may have asked for some. */
const LOOK_UP_MS = 3_000;
const whole = new Intl.NumberFormat("en");

/** As last shown. @type {number | undefined} */
let shownSize = undefined;

export function startCrowd() {
  for (const button of element("crowd").querySelectorAll("[data-add]")) {
    const body = JSON.stringify({ add: Number(button.dataset.add) });
    button.onclick = () => ask({ method: "POST", body });
  }
  element("crowd-remove").onclick = () => ask({ method: "DELETE" });
  lookUp();
}

async function ask(options) {
  try {
    show(await getJson(PATH, options));
  } catch ({ message }) {
    element("crowd-state").textContent = `That did not work: ${message}`;
  }
}

/** What a button was told stays there until the crowd changes. */
async function lookUp() {
  if (!document.hidden) {
    const crowd = await getJson(PATH).catch(() => undefined);
    if (crowd !== undefined && crowd.size !== shownSize) show(crowd);
  }
  setTimeout(lookUp, LOOK_UP_MS);
}

function show({ size, max }) {
  shownSize = size;
  element("crowd-state").textContent = size === 0
    ? "Nobody is simulated. Whom you add has a real connection to this server."
    : `${whole.format(size)} simulated, at most ${whole.format(max)}. ` +
      "Now and then one goes out and comes back.";
}
