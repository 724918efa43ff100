/**
 * The JSON Schema of the messages and HTTP bodies, made from the types in `src/client/protocol/`.
 *
 * @module
 */
import { createGenerator } from "ts-json-schema-generator";
import { ROOT } from "./server.ts";

/** Where the schema is, in the project. */
export const MESSAGE_SCHEMA_FILE = "docs/contracts/messages.schema.json";

/** The schema as the types are now: the text of `MESSAGE_SCHEMA_FILE`. */
export async function messageSchema(): Promise<string> {
  const tsconfig = await Deno.makeTempFile({ suffix: ".json" });
  try {
    const compilerOptions = {
      ...{ strict: true, noEmit: true, allowImportingTsExtensions: true },
      ...{ target: "es2022", module: "es2022", moduleResolution: "bundler" },
    };
    await Deno.writeTextFile(tsconfig, JSON.stringify({ compilerOptions }));
    const { $schema, definitions } = createGenerator({
      path: `${ROOT}src/client/protocol/messages.ts`,
      tsconfig,
      // `deno check` has done it.
      skipTypeCheck: true,
      functions: "hide",
      // A client ignores fields that it does not know.
      additionalProperties: true,
    }).createSchema("*");
    const schema = {
      $schema,
      title: "The messages and HTTP bodies of Rollcall",
      description:
        "Made from src/client/protocol/messages.ts. Each message is one JSON object in one text frame. New types and fields may be added: ignore those that you do not know.",
      definitions,
    };
    // The protocol has no fractions, and TypeScript has no type for whole numbers.
    const text = JSON.stringify(schema, null, 2)
      .replaceAll('"number"', '"integer"');
    return `${text}\n`;
  } finally {
    await Deno.remove(tsconfig);
  }
}
