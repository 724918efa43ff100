import { deepEqual } from "node:assert/strict";
import {
  authorizationDeadlines,
  authorize,
} from "../../../src/access/authorize.ts";
import type { GroupsWritten } from "../../../src/access/group_writer.ts";
import type { Provision } from "../../../src/access/provision.ts";
import type { Slot } from "../../../src/access/slot.ts";
import {
  KeySetUnavailable,
  KeyUnknown,
} from "../../../src/access/token/key_set.ts";
import type { Verify } from "../../../src/access/token/verifier.ts";
import { Roster } from "../../../src/core/roster/roster.ts";
import {
  DISCONNECT,
  withDetail,
} from "../../../src/client/protocol/disconnect.ts";
import { rememberingLog } from "../../support/fakes.ts";

interface Options {
  readonly verify?: Verify;
  readonly provision?: Provision;
  readonly assigned?: ReturnType<Slot["assignUser"]>;
  readonly catchUp?: () => Promise<"read" | "failed">;
  readonly groups?: GroupsWritten;
  readonly isRevoked?: boolean;
  readonly since?: number;
}

const good: Verify = () =>
  Promise.resolve({
    ...{ ok: true, userId: 1, exp: 100 },
    ...{ tokenId: "t", username: "ada" },
    ...{ groups: ["a"], issuedAt: 50 },
  });

async function authorizeWith(options: Options) {
  const log = rememberingLog();
  const failures: string[] = [];
  const written: (readonly string[] | undefined)[] = [];
  const authorization = await authorize(
    {
      ...{ verify: options.verify ?? good, log, roster: new Roster() },
      admission: { recordFailure: (address) => void failures.push(address) },
      feed: { catchUp: options.catchUp ?? (() => Promise.resolve("read")) },
      provision: options.provision,
      groupWriter: {
        write: (verdict) => {
          written.push(verdict.groups);
          return Promise.resolve(options.groups ?? "written");
        },
      },
      isRevoked: () => options.isRevoked ?? false,
      deadlines: authorizationDeadlines(log),
    },
    { token: "token", requestId: "r", since: options.since },
    {
      address: "192.0.2.1",
      assignUser: () => options.assigned ?? "assigned",
    },
  );
  return { authorization, failures, written, events: log.events };
}

Deno.test("a good token authorizes its user", async () => {
  const { authorization, written, events } = await authorizeWith({});
  deepEqual(authorization, { userId: 1, exp: 100, tokenId: "t" });
  deepEqual(written, [["a"]]);
  deepEqual(events, []);
});

Deno.test("only a bad token counts against the address", async () => {
  const bad = await authorizeWith({
    verify: () => Promise.resolve({ ok: false, why: DISCONNECT.tokenMissing }),
  });
  deepEqual(bad.authorization, { disconnect: DISCONNECT.tokenMissing });
  const unknown = await authorizeWith({
    verify: () => Promise.reject(new KeySetUnavailable("down")),
  });
  deepEqual(unknown.authorization, {
    disconnect: DISCONNECT.verificationUnavailable,
  });
  deepEqual([bad.failures, unknown.failures], [["192.0.2.1"], []]);
  deepEqual(unknown.events, [
    "warn: cannot verify tokens",
    "info: socket refused",
  ]);
});

Deno.test("[L1] a token whose key is in no key set counts against the address, although it may be good", async () => {
  const verify = () => Promise.reject(new KeyUnknown("no such key"));
  const { authorization, failures } = await authorizeWith({ verify });
  deepEqual(authorization, { disconnect: DISCONNECT.verificationUnavailable });
  deepEqual(failures, ["192.0.2.1"]);
});

const refusals: Record<
  string,
  {
    options: Options;
    disconnect: keyof typeof DISCONNECT;
    userId?: number;
    detail?: string;
  }
> = {
  "of a user with too many sockets": {
    options: { assigned: "full" },
    ...{ disconnect: "tooManyConnections", userId: 1 },
  },
  "that resumes from changes that the node cannot read": {
    options: { since: 7, catchUp: () => Promise.resolve("failed") },
    disconnect: "nodeBehindClient",
  },
  "of a user that cannot be created": {
    options: {
      provision: () =>
        Promise.resolve({ outcome: "refused", why: "the name is taken" }),
    },
    ...{
      disconnect: "userNotCreatable",
      userId: 1,
      detail: "the name is taken",
    },
  },
  "of a user whose write fails": {
    options: { provision: () => Promise.reject(new Error("down")) },
    ...{ disconnect: "userCreationFailed", userId: 1 },
  },
  "[V5] whose groups cannot be written": {
    options: { groups: "failed" },
    ...{ disconnect: "groupsUnavailable", userId: 1 },
  },
  "whose token was revoked meanwhile": {
    options: { isRevoked: true },
    ...{ disconnect: "tokenRevoked", userId: 1 },
  },
};

for (
  const [which, { options, disconnect, userId, detail }] of Object.entries(
    refusals,
  )
) {
  Deno.test(`a socket ${which} is refused, which is logged`, async () => {
    const { authorization, events } = await authorizeWith(options);
    deepEqual(authorization, {
      disconnect: detail === undefined
        ? DISCONNECT[disconnect]
        : withDetail(DISCONNECT[disconnect], detail),
      ...(userId === undefined ? {} : { userId }),
    });
    deepEqual(events.at(-1), "info: socket refused");
  });
}

Deno.test("an unexpected error is an internal error to the client, and is in the log", async () => {
  const { authorization, events } = await authorizeWith({
    ...{ since: 7, catchUp: () => Promise.reject(new Error("a bug")) },
  });
  deepEqual(authorization, { disconnect: DISCONNECT.authenticationFailed });
  deepEqual(events, ["error: authentication failed", "info: socket refused"]);
});
