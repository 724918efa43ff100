/** The contracts for programs say what the code and the pages for people say. */
import { deepEqual, equal, ok } from "node:assert/strict";
import project from "../../deno.json" with { type: "json" };
import openapi from "../../docs/contracts/openapi.json" with { type: "json" };
import messages from "../../docs/contracts/messages.schema.json" with {
  type: "json",
};
import { fits, paths } from "../support/contracts.ts";
import { agree, readDocument, tableRows } from "../support/documents.ts";
import {
  MESSAGE_SCHEMA_FILE,
  messageSchema,
} from "../support/message_schema.ts";
import { ROOT } from "../support/server.ts";

/** Answers to any request, which `openapi.json` does not repeat for each route. */
const EVERYWHERE = [
  ...["400 bad_host", "404 not_found", "405 method_not_allowed"],
  ...["431 too_many_headers"],
];

/** Only the demo has these. */
const DEMO =
  /^\d+ (bad_crowd|bad_teams|crowd_full|unknown_demo_user|not_loopback)$/;

Deno.test("messages.schema.json is made from the types of the messages (WRITE=1 makes it)", async () => {
  const schema = await messageSchema();
  if (Deno.env.has("WRITE")) {
    await Deno.writeTextFile(`${ROOT}${MESSAGE_SCHEMA_FILE}`, schema);
  }
  deepEqual(
    JSON.parse(schema),
    JSON.parse(await readDocument(MESSAGE_SCHEMA_FILE)),
  );
});

Deno.test("openapi.json has the version of the server", () => {
  equal(openapi.info.version, project.version);
});

Deno.test("openapi.json has the routes of http-api.md", async () => {
  const [, ...rows] = tableRows(
    (await readDocument("docs/http-api.md")).split("\n## ")[0] ?? "",
  );
  const documented = rows.flatMap(([request = ""]) =>
    [...request.matchAll(/(GET|POST) (\/[\w./]*)/g)].map(([route]) => route)
  ).filter((route) => !route.startsWith("GET /demo"));
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
  );
  agree([...new Set(documented)], routes);
});

Deno.test("openapi.json has the errors of http-api.md", async () => {
  const rows = tableRows(await readDocument("docs/http-api.md"), "Errors");
  const documented = rows.slice(1).map(([status, code]) => `${status} ${code}`)
    .filter((error) => !EVERYWHERE.includes(error) && !DEMO.test(error));
  const errors = new Set<string>();
  for (const operation of Object.values(paths).flatMap(Object.values)) {
    for (const [status, answer] of Object.entries(operation.responses)) {
      const [, codes = ""] =
        /"enum":\[([^\]]*)\]/.exec(JSON.stringify(answer)) ?? [];
      if (Number(status) < 400) continue;
      for (const code of codes.match(/\w+/g) ?? []) {
        errors.add(`${status} ${code}`);
      }
    }
  }
  agree([...errors], documented);
});

Deno.test("each message in a transcript fits the schema, and each type of message is in one", async () => {
  const seen = new Set<string>();
  for await (
    const { name } of Deno.readDir(`${ROOT}docs/contracts/transcripts`)
  ) {
    const text = await readDocument(`docs/contracts/transcripts/${name}`);
    for (const line of text.trimEnd().split("\n")) {
      const { receives, sends, request, status, body } = JSON.parse(line);
      const isV1 = /^user_/.test(receives?.type);
      if (receives !== undefined) {
        fits(isV1 ? "UserStatusBroadcast" : "ServerMessage", receives);
        seen.add(receives.type);
      }
      // One has a wrong type on purpose.
      if (sends !== undefined && sends.type !== "subscribe") {
        fits("ClientMessage", sends);
        seen.add(sends.type);
      }
      if (request !== undefined && body !== undefined) {
        fits(status === 200 ? "OnlineUsers" : "ErrorBody", body);
      }
    }
  }
  const types = Object.values(messages.definitions).flatMap((definition) => {
    const { type } = (definition as {
      properties?: { type?: { const?: string; enum?: string[] } };
    }).properties ?? {};
    return type?.enum ?? (type?.const === undefined ? [] : [type.const]);
  });
  ok(types.length > 8);
  agree([...seen], types);
});
