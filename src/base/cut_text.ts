/**
 * Cuts a text to a length at whole characters.
 *
 * @module
 */
import { EXCERPT_LENGTH_MAX } from "./limits.ts";

/**
 * The first `max` characters of a text. A character is a code point, as Postgres counts them: half
 * of one would be a lone surrogate, which other programs refuse to read as JSON.
 */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  return [...text.slice(0, 2 * max)].slice(0, max).join("");
}

/** The first characters of a client's text in quotes, for the error that refuses it. */
export function excerpt(text: string): string {
  const shown = cutText(text, EXCERPT_LENGTH_MAX);
  return JSON.stringify(shown === text ? text : `${shown}...`);
}
