/**
 * The files in `docs/contracts/`, and checks of what a server sends against them.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { Ajv } from "ajv";
import openapi from "../../docs/contracts/openapi.json" with { type: "json" };
import messages from "../../docs/contracts/messages.schema.json" with {
  type: "json",
};

interface Answer {
  readonly description: string;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}

export interface Operation {
  readonly responses: Readonly<Record<string, Answer>>;
}

/** Paths, and below each the methods in lower case. */
export const paths: Readonly<
  Record<string, Readonly<Record<string, Operation>>>
> = openapi.paths;

const ajv = new Ajv({ allErrors: true, strictTypes: false });
ajv.addSchema(messages, "messages.schema.json");

/** Fails unless a value fits the definition of this name. */
export function fits(name: string, value: unknown): void {
  const validate = ajv.getSchema(`messages.schema.json#/definitions/${name}`);
  if (validate === undefined) throw new Error(`There is no schema of ${name}`);
  validate(value);
  deepEqual(validate.errors ?? [], [], JSON.stringify(value));
}

/** Fails unless `openapi.json` has this answer, and its body fits. */
export async function isDocumented(
  method: string,
  path: string,
  response: Response,
): Promise<void> {
  const { status, headers } = response;
  const about = `${method} ${path} ${status}`;
  const answer = paths[path]?.[method.toLowerCase()]?.responses[status];
  if (answer === undefined) throw new Error(`openapi.json has no ${about}`);
  const [type = ""] = (headers.get("content-type") ?? "").split(";");
  const text = await response.text();
  if (answer.content === undefined) return deepEqual(text, "", about);
  const schema = answer.content[type]?.schema;
  if (schema === undefined) {
    throw new Error(`openapi.json has no ${type} for ${about}`);
  }
  const validate = ajv.compile({
    $id: `${crypto.randomUUID()}.json`,
    ...schema,
  });
  validate(type === "application/json" ? JSON.parse(text) : text);
  deepEqual(validate.errors ?? [], [], `${about}: ${text}`);
}
