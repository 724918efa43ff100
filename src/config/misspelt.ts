/**
 * Finds variables that are probably meant for the server and misspelt, such as `JWT_SECERT`, or
 * have the name that another program gives them, such as `JWKS_URI`. The server would start without them, as if they were not set.
 *
 * @module
 */

export interface Misspelt {
  /** As it is in the environment. Its value is never shown. */
  readonly variable: string;
  readonly meant: string;
}

/** Shorter names are near to others that mean something else, such as USERS_NAME to USERNAME. */
const TWO_EDITS_LENGTH_MIN = 11;

/**
 * @param set Names of the variables in the environment.
 * @param known Names of the variables that the server reads.
 */
export function misspeltVariables(
  set: readonly string[],
  known: readonly string[],
): Misspelt[] {
  const missing = known.filter((name) => !set.includes(name));
  return set.filter((name) => !known.includes(name)).flatMap((variable) => {
    const given = variable.toUpperCase();
    const meant = missing.find((name) =>
      isNear(given, name) || isShortened(given, name)
    );
    return meant === undefined ? [] : [{ variable, meant }];
  });
}

function isNear(given: string, known: string): boolean {
  if (`${given}_MS` === known) return true;
  const most = known.length < TWO_EDITS_LENGTH_MIN ? 1 : 2;
  return Math.abs(given.length - known.length) <= most &&
    edits(given, known) <= most;
}

/**
 * Whether the words are those of the known name in another form (TRUST_PROXY), the last one cut
 * (JWT_ISS), or the first one left out (JWKS_URL). One word alone says too little.
 */
function isShortened(given: string, known: string): boolean {
  const words = given.split("_").map(stem);
  const meant = known.split("_").map(stem);
  const left = meant.length - words.length;
  if (words.length < 2 || left < 0 || left > 1) return false;
  const last = words.pop() ?? "";
  return (meant.pop() ?? "").startsWith(last) && last.length >= 3 &&
    words.every((word, index) => word === meant[index + left]);
}

/** A word without its ending. A JWKS_URI is a URL. */
function stem(word: string): string {
  return word === "URI" ? "URL" : word.replace(/(?<=...)(IES|ED|Y|S)$/, "");
}

/** How many characters to insert, delete, replace, or swap with their neighbour: Damerau's distance. */
function edits(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const cost = from[row - 1] === to[column - 1] ? 0 : 1;
      const isSwap = from[row - 1] === to[column - 2] &&
        from[row - 2] === to[column - 1];
      current[column] = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + cost,
        isSwap ? (beforeLast[column - 2] ?? 0) + 1 : Infinity,
      );
    }
    [beforeLast, last] = [last, current];
  }
  return last[to.length] ?? 0;
}
