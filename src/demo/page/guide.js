/**
 * The guide: what the visitor can do next. There is one step at a time, and its button is green.
 *
 * @module
 */
import { element, setText } from "./dom.js";

/**
 * @param {{ selected: string, second: string, count?: number, names: number, people: number,
 *   isOpen: boolean, isConnected: boolean, hasTeams: boolean, isInSight: boolean }} view `selected` is
 *   the user of this tab, `second` one for another tab, whom `selected` sees if `isInSight`. `names` is how many of the `count` users have names, `people` how many are not
 *   simulated.
 */
export function showGuide(view) {
  const { selected, second, count, names, isOpen } = view;
  const isEmpty = count !== undefined && names === 0;
  element("stage").dataset.step = stepOf(view, isEmpty);
  setText(element("connect"), isOpen ? "Disconnect" : "Connect");
  const [ghosts, words, button] = element("empty").children;
  const hadFocus = document.activeElement === button;
  element("empty").hidden = !isEmpty;
  ghosts.hidden = count !== 0;
  button.hidden = count !== 0 || isOpen;
  setText(
    words,
    count === 0
      ? "Nobody is online yet."
      : "Too many users are online to show each of them.",
  );
  setText(button, `Connect as ${selected}`);
  if (hadFocus && isOpen) element("connect").focus();
  const link = element("second");
  setText(link, `Open a second tab as ${second}`);
  link.href = `/?user=${encodeURIComponent(second)}`;
  setText(element("next"), hintOf(view));
}

function stepOf({ isOpen, people }, isEmpty) {
  if (!isOpen) return isEmpty ? "first" : "connect";
  return people <= 1 ? "second" : "play";
}

function hintOf(view) {
  const { selected, second, isOpen, isConnected, people } = view;
  const { hasTeams, isInSight } = view;
  if (isOpen && !isConnected) return "";
  if (isOpen && people > 1) {
    return hasTeams
      ? "Then move somebody to another team, or close that tab."
      : "Then close that tab, reload it, or open one user twice.";
  }
  if (!isInSight) {
    return `${second} shares no team with ${selected}, and does not appear here.`;
  }
  return isOpen
    ? `${second} connects there and appears here.`
    : `Connect here first, then watch ${second} arrive.`;
}
