import { equal } from "node:assert/strict";
import pg from "pg";
import { StartError } from "../../../src/base/start_error.ts";
import { ReadOnlyError } from "../../../src/postgres/connect.ts";
import { transientReason } from "../../../src/postgres/transient.ts";

function answer(code: string, message = "no"): Error {
  return Object.assign(new pg.DatabaseError(message, 1, "error"), { code });
}

function systemError(code: string): Error {
  return Object.assign(new Error(`connect ${code} 10.0.0.7:5432`), { code });
}

/** Each fault with its reason. A message of Postgres is shown as it is. */
const passing: [Error, string][] = [
  [systemError("ECONNREFUSED"), "the connection is refused"],
  [systemError("ENOTFOUND"), "the host does not exist"],
  [systemError("EAI_AGAIN"), "the host cannot be looked up"],
  [new Error("timeout expired"), "no answer"],
  [new Error("Connection terminated unexpectedly"), "no answer"],
  [new Error("Query read timeout"), "no answer"],
  [
    answer("57P03", "the database system is starting up"),
    "the database system is starting up",
  ],
  [answer("57P01"), "no"],
  [
    answer("53300", "sorry, too many clients already"),
    "sorry, too many clients already",
  ],
  [answer("25006"), "no"],
  [answer("55P03"), "no"],
  [answer("08006"), "no"],
  [
    answer(
      "08P01",
      "server login has been failing, try again later (server_login_retry)",
    ),
    "server login has been failing, try again later (server_login_retry)",
  ],
  [
    answer("08P01", "no more connections allowed (max_client_conn)"),
    "no more connections allowed (max_client_conn)",
  ],
  [new ReadOnlyError("this host is a standby"), "this host is a standby"],
];

for (const [fault, reason] of passing) {
  Deno.test(`"${fault.message}" passes by itself`, () => {
    equal(transientReason(fault), reason);
    const cause = new AggregateError([answer("28P01"), fault]);
    equal(transientReason(new StartError("Cannot", { cause: fault })), reason);
    equal(transientReason(new StartError("Cannot", { cause })), reason);
  });
}

const lasting: Error[] = [
  answer("28P01", "password authentication failed"),
  answer("28000", "no pg_hba.conf entry for host"),
  answer("3D000", "database does not exist"),
  answer("42501", "permission denied"),
  answer("08P01", "unsupported startup parameter: statement_timeout"),
  answer("08P01", "no such database: app"),
  answer("08P01", "server login failed: FATAL password authentication failed"),
  new Error("The server does not support SSL connections"),
  new Error("invalid peer certificate: UnknownIssuer"),
  new Error("the arrival of a notification took longer than 5000 ms"),
  new TypeError("undefined is not a function"),
];

for (const fault of lasting) {
  Deno.test(`"${fault.message}" does not pass by itself`, () => {
    equal(transientReason(fault), undefined);
    equal(
      transientReason(new StartError("Cannot", { cause: fault })),
      undefined,
    );
  });
}
