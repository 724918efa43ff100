/**
 * Reads a Compose file, as far as those of this project go.
 *
 * @module
 */
import { parse } from "yaml";

export interface Service {
  readonly image?: string;
  readonly build?: string | {
    readonly context: string;
    readonly dockerfile: string;
  };
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly [key: string]: unknown;
}

export interface Compose {
  readonly services: Readonly<Record<string, Service>>;
}

/**
 * Parses a Compose file, with the values of variables in their places.
 *
 * @throws {Error} that names a variable that is missing, where the file demands it.
 */
export function readCompose(
  text: string,
  variables: Readonly<Record<string, string>>,
): Compose {
  const fill = (_match: string, name: string, how = "", other = "") => {
    const value = variables[name];
    if (value) return value;
    if (how === ":?") throw new Error(`${name}: ${other}`);
    return other;
  };
  return parse(text.replaceAll(/\$\{(\w+)(:\?|:-)?([^}]*)\}/g, fill));
}
