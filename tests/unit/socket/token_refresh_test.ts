import { deepEqual, equal, match } from "node:assert/strict";
import { Admission } from "../../../src/access/admission.ts";
import type { GroupsWritten } from "../../../src/access/group_writer.ts";
import { KeyUnknown } from "../../../src/access/token/key_set.ts";
import type { GoodVerdict } from "../../../src/access/token/verifier.ts";
import { DISCONNECT } from "../../../src/client/protocol/disconnect.ts";
import {
  INTEGER_IDS,
  type UserId,
} from "../../../src/client/protocol/user_id.ts";
import { ClientMessages } from "../../../src/socket/client_messages.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { liveConnection, rememberingLog } from "../../support/fakes.ts";

const ADDRESS = "192.0.2.1";
const VERIFY_MS = 100;
const SLOW_MS = 5 * VERIFY_MS;

/**
 * A connection of user 7. Tokens that start with "good" are good. Each takes a while to verify,
 * slow ones longer, except one that was verified before.
 */
function refreshing(failedTokensPerMinuteMax = 1_000) {
  const clock = new FakeClock();
  const admission = new Admission(
    {
      ...{ connectionsMax: 10, connectionsPerUserMax: 10 },
      ...{ connectionsPerAddressMax: 10, newConnectionsPerSecondMax: 10 },
      failedTokensPerMinuteMax,
    },
    () => clock.now(),
    () => 0,
  );
  const verified: string[] = [];
  const revoked = new Set<string | undefined>();
  const reread: UserId[] = [];
  /** What each write of groups waits for. */
  const writes: PromiseWithResolvers<GroupsWritten>[] = [];
  const groupWriter = {
    write: ({ groups }: Pick<GoodVerdict, "groups">) => {
      const write = Promise.withResolvers<GroupsWritten>();
      if (groups === undefined) write.resolve("written");
      else writes.push(write);
      return write.promise;
    },
  };
  const good = (tokenId: string): GoodVerdict => ({
    ...{ userId: 7, exp: 1_000, tokenId, username: undefined },
    ...{ groups: tokenId.includes("groups") ? ["a"] : undefined, issuedAt: 0 },
    ok: true,
  });
  const connect = () => {
    const { connection, socket } = liveConnection(7, { version: 2 });
    const messages = new ClientMessages(
      {
        ...{ log: rememberingLog(), ids: INTEGER_IDS, watchedUsersMax: 10 },
        fanout: {
          sendControl: (to, text) => to.send(text),
          watch: () => "watching",
          keepAlive: () => {},
        },
        verify: async (token = "") => {
          if (token === "known") return good(token);
          verified.push(token);
          await clock.sleep(token.includes("slow") ? SLOW_MS : VERIFY_MS);
          if (token.startsWith("unknown")) throw new KeyUnknown("no such key");
          if (token.startsWith("good")) return good(token);
          return { ok: false, why: DISCONNECT.tokenSignatureInvalid };
        },
        known: (token) => token === "known" ? good("known") : undefined,
        admission,
        ...{ groupWriter, isRevoked: (id) => revoked.has(id) },
        reread: (userId) => void reread.push(userId),
        endOf: (exp) => exp,
        now: () => clock.now(),
      },
      connection,
      ADDRESS,
    );
    const refresh = (token: string) =>
      messages.receive(JSON.stringify({ type: "refresh", token }));
    const errors = () => socket.sent.map((text) => JSON.parse(text).message);
    return { connection, messages, refresh, errors };
  };
  return { clock, admission, verified, revoked, reread, writes, connect };
}

Deno.test("[L1] the tokens of one connection are verified one at a time, and of those that wait only the last", async () => {
  const { clock, verified, connect } = refreshing();
  const { connection, refresh } = connect();
  for (const n of [1, 2, 3, 4]) equal(refresh(`good${n}`), "received");
  await clock.advance(VERIFY_MS - 1);
  deepEqual(verified, ["good1"]);
  await clock.advance(1);
  deepEqual(verified, ["good1", "good4"]);
  equal(connection.tokenId, "good1");
  await clock.advance(VERIFY_MS);
  equal(connection.tokenId, "good4");
  await clock.advance(10 * VERIFY_MS);
  equal(verified.length, 2);
});

Deno.test("[P1] of several tokens the last one counts, although an earlier one takes longer to verify", async () => {
  const { clock, connect } = refreshing();
  for (const tokens of [["good slow", "good"], ["good slow", "known"]]) {
    const { connection, refresh } = connect();
    for (const token of tokens) refresh(token);
    await clock.advance(VERIFY_MS);
    equal(connection.tokenId, undefined, "none overtakes another");
    await clock.advance(SLOW_MS + VERIFY_MS);
    equal(connection.tokenId, tokens.at(-1));
  }
});

Deno.test("[L1] a token costs as much as a bad message as soon as it is taken, and a good one gives that back", async () => {
  const { clock, connect } = refreshing();
  const taken = (messages: ClientMessages) => {
    let count = 0;
    const watch = '{"type":"watch","userIds":[]}';
    while (messages.receive(watch) === "received") count += 1;
    return count;
  };
  const first = connect();
  first.refresh("bad");
  equal(taken(first.messages), 15);
  const second = connect();
  second.refresh("good");
  await clock.advance(VERIFY_MS);
  equal(taken(second.messages), 19);
});

Deno.test("[L1] bad tokens of any connection count against its address, also those with an unknown key", async () => {
  const { clock, admission, verified, connect } = refreshing(10);
  for (let n = 0; n < 100; n++) {
    const { refresh } = connect();
    refresh(n % 2 === 0 ? `bad${n}` : `unknown${n}`);
    await clock.advance(1);
  }
  await clock.advance(VERIFY_MS);
  equal(admission.throttled(ADDRESS)?.code, "too_many_failed_tokens");
  const before = verified.length;
  for (let n = 0; n < 100; n++) {
    const { refresh } = connect();
    refresh(`bad${n}`);
    await clock.advance(0);
  }
  equal(verified.length, before);
});

Deno.test("[L1] while its address is throttled a client gets the time after which to send its token again, and one that is known is accepted", async () => {
  const { clock, admission, connect } = refreshing(1);
  admission.recordFailure(ADDRESS);
  const { connection, refresh, errors } = connect();
  refresh("good");
  await clock.advance(0);
  match(
    errors()[0],
    /^too many bad tokens or handshakes from this address, try again in \d+ s$/,
  );
  refresh("known");
  await clock.advance(0);
  deepEqual([errors().length, connection.tokenId], [1, "known"]);
});

Deno.test("a token that waits is not verified after its connection was closed", async () => {
  const { clock, verified, connect } = refreshing();
  const { connection, refresh } = connect();
  refresh("good1");
  refresh("good2");
  connection.close(DISCONNECT.tooManyMessages);
  await clock.advance(10 * VERIFY_MS);
  deepEqual(verified, ["good1"]);
});

Deno.test("[V3] the groups of a refreshed token are written before it counts, and then the user's groups are read again", async () => {
  const { clock, writes, reread, connect } = refreshing();
  const { connection, refresh, errors } = connect();
  refresh("good groups");
  await clock.advance(VERIFY_MS);
  deepEqual([connection.tokenId, reread], [undefined, []]);
  writes[0]?.resolve("written");
  await clock.advance(0);
  deepEqual([connection.tokenId, reread], ["good groups", [7]]);
  refresh("good");
  await clock.advance(VERIFY_MS);
  deepEqual([reread, errors()], [[7, 7], []]);
});

Deno.test("[V5] a token whose groups cannot be written is refused, and the connection keeps its own", async () => {
  const { clock, writes, reread, connect } = refreshing();
  const { connection, refresh, errors } = connect();
  refresh("good groups");
  await clock.advance(VERIFY_MS);
  writes[0]?.resolve("failed");
  await clock.advance(0);
  deepEqual(errors(), [DISCONNECT.groupsUnavailable.reason]);
  deepEqual([connection.tokenId, reread], [undefined, []]);
});

Deno.test("[P1] a token that is revoked while its groups are written is refused", async () => {
  const { clock, writes, revoked, connect } = refreshing();
  const { connection, refresh, errors } = connect();
  refresh("good groups");
  await clock.advance(VERIFY_MS);
  revoked.add("good groups");
  writes[0]?.resolve("written");
  await clock.advance(0);
  deepEqual(errors(), [DISCONNECT.tokenRevoked.reason]);
  equal(connection.tokenId, undefined);
});
