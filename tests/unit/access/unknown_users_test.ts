import { deepEqual, equal } from "node:assert/strict";
import { noMetrics } from "../../../src/base/metrics.ts";
import { Connections } from "../../../src/core/connections/connections.ts";
import { Hub } from "../../../src/core/connections/hub.ts";
import {
  UnknownUsers,
  type UnknownUsersDeps,
} from "../../../src/access/unknown_users.ts";
import { DISCONNECT } from "../../../src/client/protocol/disconnect.ts";
import type { UserId } from "../../../src/client/protocol/user_id.ts";
import {
  joiningConnection,
  liveConnection,
  rememberingLog,
} from "../../support/fakes.ts";

function createUnknownUsers(
  answer: () => ReturnType<UnknownUsersDeps["rewriteUser"]>,
) {
  const connections = new Connections(new Hub(), noMetrics);
  const rewritten: UserId[] = [];
  const claimedAgain: UserId[] = [];
  const rewriteUser = (userId: UserId) => {
    rewritten.push(userId);
    return answer();
  };
  const unknownUsers = new UnknownUsers(
    { connections, log: rememberingLog(), rewriteUser },
    (userId) => claimedAgain.push(userId),
  );
  const open = (make: typeof joiningConnection) => {
    const made = make(7);
    connections.open(made.connection);
    return made;
  };
  const handle = async () => {
    unknownUsers.handle(7);
    await Promise.resolve();
  };
  return { open, handle, rewritten, claimedAgain };
}

const UNKNOWN = ["1008 unknown user"];

Deno.test("[P1] the row of a user who waits is written once more, and only once for each connection", async () => {
  const it = createUnknownUsers(() => Promise.resolve("written"));
  const first = it.open(joiningConnection);
  await it.handle();
  deepEqual([it.rewritten, it.claimedAgain], [[7], [7]]);
  deepEqual(first.socket.closes, []);
  await it.handle();
  deepEqual(first.socket.closes, UNKNOWN);
  equal(it.rewritten.length, 1);
  const second = it.open(joiningConnection);
  await it.handle();
  equal(it.rewritten.length, 2);
  deepEqual(second.socket.closes, []);
});

Deno.test("[P1] a user who was deleted while connected is refused, and no row is written", async () => {
  const it = createUnknownUsers(() => Promise.resolve("written"));
  const sockets = [it.open(liveConnection), it.open(joiningConnection)];
  await it.handle();
  for (const { socket } of sockets) deepEqual(socket.closes, UNKNOWN);
  deepEqual(it.rewritten, []);
});

Deno.test("[P1] a user whose row cannot be written once more is refused, with the reason", async () => {
  const it = createUnknownUsers(() =>
    Promise.resolve(DISCONNECT.userCreationFailed)
  );
  const { socket } = it.open(joiningConnection);
  await it.handle();
  deepEqual(socket.closes, ["1013 users cannot be created now, try again"]);
  deepEqual(it.claimedAgain, []);
});

Deno.test("nothing is written for a user whose connections have ended", async () => {
  const it = createUnknownUsers(() => Promise.resolve("written"));
  await it.handle();
  deepEqual(it.rewritten, []);
});

Deno.test("[P1] a user who is unknown again while the row is written waits for that write", async () => {
  const write = Promise.withResolvers<"written">();
  const it = createUnknownUsers(() => write.promise);
  const { socket } = it.open(joiningConnection);
  await it.handle();
  await it.handle();
  deepEqual([it.rewritten, it.claimedAgain], [[7], []]);
  write.resolve("written");
  await write.promise;
  deepEqual([socket.closes, it.claimedAgain], [[], [7]]);
});
