import { deepEqual, equal, ok } from "node:assert/strict";
import { StartError } from "../../../src/base/start_error.ts";
import {
  connect,
  databaseAddress,
  socketPaths,
} from "../../../src/postgres/connect.ts";

async function faultOf(url: string): Promise<string> {
  const fault = await connect(url).catch((err) => err);
  ok(fault instanceof StartError);
  return fault.message;
}

// The configuration refuses some of these before.
for (
  const url of [
    "postgres://user:topsecret%e4@host/name",
    "postgres://user:topsecret#@host/name",
    "postgres://user:topsecret/@host/name",
  ]
) {
  Deno.test(`DATABASE_URL cannot be parsed: the error says what to do, and no part of ${url}`, async () => {
    equal(
      await faultOf(url),
      "Cannot parse DATABASE_URL: expected a URL such as postgres://user:password@host/database; percent-encode the password",
    );
  });
}

Deno.test("the socket of a database is where its host is a folder", () => {
  const file = "/run/pg/.s.PGSQL.5432";
  deepEqual(
    [
      "postgres:///name?host=/run/pg",
      "postgres://user@%2Frun%2Fpg/name",
      "postgres://user:password@/name?host=/run/pg",
    ].flatMap(socketPaths),
    [file, file, file],
  );
  deepEqual(
    socketPaths("postgres://%2Frun%2Fpg:5433/name"),
    ["/run/pg/.s.PGSQL.5433"],
  );
  deepEqual(socketPaths("postgres://user@host/name"), []);
  deepEqual(socketPaths("postgres://user:p%e4@host/name"), []);
});

Deno.test("the address of a database names host and database, and never the password", () => {
  equal(
    databaseAddress("postgres://ada:topsecret@host:5433/app"),
    "postgres://ada@host:5433/app",
  );
  equal(
    databaseAddress("postgres://ada:topsecret@/app?host=/run/pg"),
    "the socket /run/pg/.s.PGSQL.5432 (user ada, database app)",
  );
});

Deno.test("a socket that is not there is an error that names it", async () => {
  const message = await faultOf("postgres://ada:topsecret@/app?host=/nowhere");
  ok(
    message.startsWith(
      "Cannot connect to the socket /nowhere/.s.PGSQL.5432 (user ada, database app): ",
    ),
    message,
  );
  ok(!message.includes("topsecret"));
});
