/**
 * Times as words that change seldom, so that they can be read and do not flicker.
 *
 * @module
 */

/** Times below this are "just now", and times below a minute are multiples of it. */
const STEP_SECONDS = 10;

/** @param {number} ms Time since an event. */
export const ago = (ms) => words(ms, (time) => `${time} ago`);

/** @param {number} ms Time since a state began. */
export const lasting = (ms) => words(ms, (time) => `for ${time}`);

function words(ms, phrase) {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < STEP_SECONDS) return "just now";
  if (seconds < 60) return phrase(`${seconds - seconds % STEP_SECONDS} s`);
  if (seconds < 3_600) return phrase(`${Math.floor(seconds / 60)} min`);
  if (seconds < 86_400) return phrase(`${Math.floor(seconds / 3_600)} h`);
  return phrase(`${Math.floor(seconds / 86_400)} d`);
}
