/**
 * Names for people who do not exist.
 *
 * @module
 */

// deno-fmt-ignore
const ADJECTIVES = [
  "amber", "brave", "calm", "dusty", "eager", "fuzzy", "gentle", "happy",
  "ivory", "jolly", "keen", "lucky", "mellow", "nimble", "olive", "proud",
];

// deno-fmt-ignore
const ANIMALS = [
  "fox", "otter", "heron", "lynx", "badger", "crane", "dolphin", "egret", "finch",
  "gecko", "hare", "ibis", "jackal", "koala", "lemur", "marten", "newt",
];

const PAIRS = ADJECTIVES.length * ANIMALS.length;

/**
 * The nth name, from 0. No two are alike, because the lists' lengths have no common factor:
 * neighbours differ in both words, and a pair only comes again with the next number.
 */
export function crowdName(nth: number): string {
  const adjective = ADJECTIVES[nth % ADJECTIVES.length];
  const animal = ANIMALS[nth % ANIMALS.length];
  return `${adjective}-${animal}-${Math.floor(nth / PAIRS) + 1}`;
}
