/**
 * What every part of the page needs: elements, templates, answers, and a turn per frame.
 *
 * @module
 */

const FETCH_MS_MAX = 5_000;

/** @param {string} id */
export const element = (id) => document.getElementById(id);

/** A copy of what a template holds. @param {string} id */
export const copyOf = (id) =>
  element(id).content.firstElementChild.cloneNode(true);

/** The server's answer, or an error in its words or, if it has none, in ours. */
export async function getJson(path, options = {}) {
  const signal = AbortSignal.timeout(FETCH_MS_MAX);
  const init = { signal, cache: "no-store", ...options };
  const response = await fetch(path, init).catch(() => undefined);
  const body = await response?.json().catch(() => undefined);
  if (body === undefined) throw new Error("the server does not answer");
  if (!response.ok) throw new Error(body.error.message);
  return body;
}

/** A function that calls back with the next frame, however often it is called before. */
export function oncePerFrame(draw) {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      draw();
    });
  };
}
