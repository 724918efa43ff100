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

/** The server's answer, or an error in its words. */
export async function getJson(path, options = {}) {
  const signal = AbortSignal.timeout(FETCH_MS_MAX);
  const response = await fetch(path, { signal, cache: "no-store", ...options });
  const body = await response.json();
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
