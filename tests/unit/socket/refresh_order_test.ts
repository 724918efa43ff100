import { deepEqual } from "node:assert/strict";
import { INTEGER_IDS } from "../../../src/protocol/user_id.ts";
import { ClientMessages } from "../../../src/socket/client_messages.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { liveConnection, rememberingLog } from "../../support/fakes.ts";

Deno.test("[P1] of several tokens the one that the client sent last counts, although an earlier one takes longer to verify", async () => {
  const clock = new FakeClock();
  const { connection } = liveConnection(7, { version: 2 });
  const verifyMs: Record<string, number> = {
    first: 100,
    second: 10,
    third: 50,
  };
  const messages = new ClientMessages({
    ...{ log: rememberingLog(), ids: INTEGER_IDS, watchedUsersMax: 10 },
    fanout: {
      sendControl: () => {},
      watch: () => "watching",
      keepAlive: () => {},
    },
    verify: async (token = "") => {
      await clock.sleep(verifyMs[token] ?? 0);
      const exp = Object.keys(verifyMs).indexOf(token);
      return {
        ...{ ok: true, userId: 7, exp, tokenId: token, username: undefined },
      };
    },
    endOf: (exp) => exp,
    now: () => clock.now(),
  }, connection);
  for (const token of ["first", "second", "third"]) {
    messages.receive(JSON.stringify({ type: "refresh", token }));
  }
  const seen: unknown[] = [];
  for (let ms = 0; ms < 120; ms += 20) {
    await clock.advance(20);
    seen.push(connection.tokenId);
  }
  deepEqual(seen, ["second", "second", "third", "third", "third", "third"]);
});
