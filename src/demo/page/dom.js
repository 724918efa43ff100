/**
 * Helpers that every part of the page uses: elements, templates, texts, requests, drawing once per
 * frame.
 *
 * @module
 */

const FETCH_MS_MAX = 5_000;

/** @param {string} id */
export const element = (id) => document.getElementById(id);

/** A copy of the content of a template. @param {string} id */
export const copyOf = (id) =>
  element(id).content.firstElementChild.cloneNode(true);

/** Skips a text that does not change: writing it would cost a layout. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Returns the JSON of a response.
 *
 * @throws {Error} with the server's error message, or if there is no JSON response in time.
 */
export async function getJson(path, options = {}) {
  const signal = AbortSignal.timeout(FETCH_MS_MAX);
  const init = { signal, cache: "no-store", ...options };
  const response = await fetch(path, init).catch(() => undefined);
  const body = await response?.json().catch(() => undefined);
  if (body === undefined) throw new Error("cannot reach the server");
  if (!response.ok) throw new Error(body.error.message);
  return body;
}

/** Returns a function that calls `draw` in the next frame. Several calls before it cause one draw. */
export function oncePerFrame(draw) {
  let isScheduled = false;
  return () => {
    if (isScheduled) return;
    isScheduled = true;
    requestAnimationFrame(() => {
      isScheduled = false;
      draw();
    });
  };
}
