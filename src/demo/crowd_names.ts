/**
 * Names for simulated users.
 *
 * @module
 */

// Not in the order of the alphabet: their initials are the faces of a crowd.
// deno-fmt-ignore
const ADJECTIVES = [
  "lucky", "amber", "jolly", "calm", "proud", "eager", "nimble", "dusty",
  "happy", "brave", "olive", "gentle", "keen", "fuzzy", "mellow", "ivory",
];

// deno-fmt-ignore
const ANIMALS = [
  "fox", "otter", "heron", "lynx", "badger", "crane", "dolphin", "egret", "finch",
  "gecko", "hare", "ibis", "jackal", "koala", "lemur", "marten", "newt",
];

const PAIRS = ADJECTIVES.length * ANIMALS.length;

/**
 * The nth name, from 0. All names differ: the lengths of the two lists have no common factor, so
 * every pair of words appears once before the first one is repeated with the next number.
 */
export function crowdName(nth: number): string {
  const adjective = ADJECTIVES[nth % ADJECTIVES.length];
  const animal = ANIMALS[nth % ANIMALS.length];
  return `${adjective}-${animal}-${Math.floor(nth / PAIRS) + 1}`;
}
