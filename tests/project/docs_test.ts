/** The pages for users of the server say what the code does. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { DEFAULTS, environment } from "../../src/config/environment.ts";
import { CLOSE } from "../../src/client/protocol/close.ts";
import { DISCONNECT } from "../../src/client/protocol/disconnect.ts";
import { WATCHED_USERS_MAX } from "../../src/client/protocol/messages.ts";
import {
  USER_ID_LENGTH_MAX,
  USER_ID_MAX,
} from "../../src/client/protocol/user_id.ts";
import {
  agree,
  readDocument,
  rowOf,
  sources,
  tableRows,
} from "../support/documents.ts";
import { ROOT } from "../support/server.ts";

const source = await sources("src");

/** Every `limits.ts` below `src/`, by its path. */
const limitFiles = [...source.keys()].filter((path) =>
  path.endsWith("limits.ts")
);

/** Limits that the client library shares, which are not in a `limits.ts`. */
const shared = { WATCHED_USERS_MAX, USER_ID_MAX, USER_ID_LENGTH_MAX };

/** Every limit of the server by its name. */
const limits: Record<string, unknown> = { ...shared };
for (const path of limitFiles) {
  Object.assign(limits, await import(`file://${ROOT}${path}`));
}

/** Names in the first column that look like a variable or a limit. */
function constantsIn(rows: readonly string[][]): string[] {
  return rows.map(([name]) => name ?? "")
    .filter((name) => /^[A-Z]+(_[A-Z]+)+$/.test(name));
}

Deno.test("configuration.md: every environment variable has a row with its default", async () => {
  const rows = tableRows(await readDocument("docs/configuration.md"));
  for (const [name, value] of Object.entries(DEFAULTS)) {
    if (name === "PGHOST" || name === "PGDATABASE") {
      ok(rowOf(rows, "DATABASE_URL").join().includes(name));
    } else if (value !== undefined) {
      equal(rowOf(rows, name)[1], String(value), `default of ${name}`);
    } else {
      rowOf(rows, name);
    }
  }
});

Deno.test("the files for deployment say to which proxies TRUSTED_PROXIES is set", async () => {
  for (
    const file of [
      ...["nginx.conf", "Caddyfile", "kubernetes.yaml", "rollcall.service"],
    ]
  ) {
    const text = await readDocument(`docs/${file}`);
    const value = /TRUSTED_PROXIES(?:=|\s+value: )([^\s;]+)/.exec(text)?.[1];
    ok(value !== undefined, `${file} does not set TRUSTED_PROXIES`);
    const networks = environment.shape.TRUSTED_PROXIES.parse(value);
    ok(networks !== undefined && networks.length > 0);
  }
});

Deno.test("configuration.md has no row for a variable that is not read", async () => {
  const rows = tableRows(await readDocument("docs/configuration.md"));
  const unknown = constantsIn(rows).filter((name) => !(name in DEFAULTS));
  deepEqual(unknown, []);
});

Deno.test("client.md: the states of a connection are the client's", async () => {
  const union = /readonly state:([^;]*);/.exec(
    source.get("src/client/connection_info.ts") ?? "",
  )?.[1] ?? "";
  const states = [...union.matchAll(/"(\w+)"/g)].map(([, state]) => state);
  const rows = tableRows(await readDocument("docs/client.md"), "States");
  ok(states.length >= 5);
  deepEqual(rows.slice(1).map(([state]) => state), states);
});

Deno.test("client.md: the reasons that the client makes are in its source", async () => {
  const rows = tableRows(await readDocument("docs/client.md"), "Reasons");
  const text = [...source].filter(([path]) => path.startsWith("src/client/"))
    .map(([, text]) => text).join();
  ok(rows.length >= 8);
  for (const [reason = ""] of rows.slice(1)) {
    ok(text.includes(reason.replace(/ \.\.\.$/, "")), `"${reason}"`);
  }
});

Deno.test("protocol.md: the table of close codes is the code's", async () => {
  const rows = tableRows(
    await readDocument("docs/protocol.md"),
    "Close codes",
  );
  for (const { code, meaning, reconnect } of Object.values(CLOSE)) {
    deepEqual(rowOf(rows, String(code)).slice(1), [meaning, reconnect]);
  }
  const documented = rows.map(([code = ""]) => code)
    .filter((code) => /^\d+$/.test(code));
  agree(
    [...new Set(documented)],
    Object.values(CLOSE).map(({ code }) => String(code)),
  );
});

Deno.test("protocol.md: the table of close reasons is the code's", async () => {
  const rows = tableRows(
    await readDocument("docs/protocol.md"),
    "Close reasons",
  );
  const documented = rows.slice(1).map(([code, reason]) => `${code} ${reason}`);
  const sent = Object.values(DISCONNECT).map(({ code, reason }) =>
    `${code} ${reason}`
  );
  agree(documented, sent);
});

Deno.test("protocol.md: every error of version 2 is in the table", async () => {
  const union = /type ErrorCode =([^;]*);/.exec(
    source.get("src/client/protocol/messages.ts") ?? "",
  )?.[1] ?? "";
  const codes = [...union.matchAll(/"(\w+)"/g)].map(([, code]) => code ?? "");
  const rows = tableRows(await readDocument("docs/protocol.md"), "Errors");
  ok(codes.length >= 6);
  agree(rows.slice(1).map(([code = ""]) => code), codes);
});

Deno.test("limits.md: every limit has a row with its value, and no other has", async () => {
  const rows = tableRows(await readDocument("docs/limits.md"));
  const documented = constantsIn(rows)
    .map((name) => `${name} = ${rowOf(rows, name)[1]}`);
  const exported = Object.entries(limits)
    .map(([name, value]) => `${name} = ${value}`);
  ok(exported.length >= 40);
  agree(documented, exported);
});

Deno.test("[L1] every limit has its reason beside it", () => {
  const lines = limitFiles.map((path) => source.get(path)).join("\n")
    .split("\n");
  const names = Object.keys(limits)
    .filter((name) => !(name in shared));
  for (const name of names) {
    const index = lines.findIndex((line) =>
      line.startsWith(`export const ${name} `)
    );
    const above = lines[index - 1] ?? "";
    ok(
      above.endsWith("*/") || above.startsWith("export const"),
      `${name} has no comment`,
    );
  }
});

Deno.test("http-api.md: every HTTP error is in the table, with its status", async () => {
  const rows = tableRows(await readDocument("docs/http-api.md"), "Errors");
  const documented = rows.slice(1).map(([status, code]) => `${status} ${code}`);
  const known = new Set<string>();
  for (const text of source.values()) {
    for (
      const [, status, code] of text.matchAll(/([45]\d\d),\s*"([a-z_]+)"/g)
    ) {
      known.add(`${status} ${code}`);
    }
  }
  ok(known.size >= 10);
  for (const error of known) {
    ok(documented.includes(error), `http-api.md has no row for ${error}`);
  }
  const text = [...source.values()].join();
  for (const [, code] of rows.slice(1)) {
    ok(text.includes(`"${code}"`), `http-api.md has a row for ${code}`);
  }
});
