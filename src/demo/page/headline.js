/**
 * The headline: how many users are online, how many of them are simulated, how fresh that is, and
 * the title of the tab.
 *
 * @module
 */
import { element, setText } from "./dom.js";

const whole = new Intl.NumberFormat("en");

/**
 * @param {{ count?: number, simulated: number, freshness: string, isCurrent: boolean }} view `count`
 *   is `undefined` while nothing is known.
 */
export function showHeadline({ count, simulated, freshness, isCurrent }) {
  setText(element("count"), count === undefined ? "?" : whole.format(count));
  setText(element("words"), inWords(count, simulated));
  setText(element("freshness"), freshness);
  element("stage").classList.toggle("stale", !isCurrent);
}

/** The titles of tabs show which user each of them is. */
export function showTitle(username, count) {
  const who = username === undefined ? "" : `${username}: `;
  const title = count === undefined
    ? "Rollcall"
    : `${who}${whole.format(count)} online - Rollcall`;
  if (document.title !== title) document.title = title;
}

function inWords(count, simulated) {
  if (simulated > 0) return `online, ${whole.format(simulated)} simulated`;
  return count === 1 ? "person online" : "people online";
}
