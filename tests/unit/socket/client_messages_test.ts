import { deepEqual, equal, match, ok } from "node:assert/strict";
import { ClientMessages } from "../../../src/socket/client_messages.ts";
import { DISCONNECT } from "../../../src/protocol/disconnect.ts";
import { liveConnection, rememberingLog } from "../../support/fakes.ts";
import { damagedMessage } from "../../support/fuzz.ts";
import { randomFrom } from "../../support/random.ts";

const INPUTS = 75_000;
const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);

function reader() {
  const { connection, socket } = liveConnection(1, { version: 2 });
  const watched: unknown[] = [];
  let now = 0;
  const log = rememberingLog();
  const create = () =>
    new ClientMessages({
      verify: () =>
        Promise.resolve({ ok: false, why: DISCONNECT.tokenMalformed }),
      fanout: {
        sendControl: (to, text) => to.send(text),
        watch: (_connection, ids) => {
          watched.push(ids);
          return "watching";
        },
      },
      log,
      watchedUsersMax: 1_000,
      endOf: (exp) => exp,
      now: () => now,
    }, connection);
  return { create, socket, watched, log, pass: (ms: number) => now += ms };
}

Deno.test(`[L1] ${INPUTS} damaged messages are each understood or complained of by name, seed ${SEED}`, async () => {
  const { create, socket, watched, log } = reader();
  const random = randomFrom(SEED);
  let refreshes = 0;
  for (let n = 0; n < INPUTS; n++) {
    const [before, watchedBefore] = [socket.sent.length, watched.length];
    const text = damagedMessage(random);
    equal(create().take(text), "taken");
    const complaints = socket.sent.slice(before).map((sent) =>
      JSON.parse(sent)
    );
    const isWatch = watched.length > watchedBefore;
    if (complaints.length === 0 && !isWatch) refreshes += 1;
    for (const { code, message } of complaints) {
      match(code, /^(bad_message|watch_too_large)$/, text);
      match(
        message,
        /^(expected JSON|[\w.]+: .*expected|expected at most)/,
        text,
      );
    }
  }
  ok(watched.length > INPUTS / 50, "hardly a message was good");
  ok(refreshes > INPUTS / 100);
  // The answers to refreshes.
  await Promise.resolve();
  equal(log.events.length, 0);
});

Deno.test("[L1] a client may say so much at once, and a little each second", () => {
  const { create, pass } = reader();
  const messages = create();
  const watch = '{"type":"watch","userIds":[]}';
  for (let n = 0; n < 20; n++) equal(messages.take(watch), "taken");
  equal(messages.take(watch), "too many");
  const other = create();
  for (let n = 0; n < 4; n++) equal(other.take("{"), "taken");
  pass(10_000);
  for (let n = 0; n < 4; n++) equal(other.take("{"), "taken");
  equal(other.take("{"), "too many");
});

Deno.test("[L1] bad tokens use up what a client may say, however slowly they come", async () => {
  const { create, pass } = reader();
  const messages = create();
  const refresh = '{"type":"refresh","token":"bad"}';
  let taken = 0;
  while (taken < 100 && messages.take(refresh) === "taken") {
    taken += 1;
    pass(700);
    await Promise.resolve();
  }
  // 20 at first, 1.4 more before each, and five for each.
  ok(taken < 10, `${taken} were taken`);
});

Deno.test("[L1] a list is not looked into when it is too long, nor past its first fault", () => {
  const { create, socket } = reader();
  const list = (length: number, value: unknown) =>
    JSON.stringify({ type: "watch", userIds: Array(length).fill(value) });
  create().take(list(30_000, 0));
  create().take(list(1_000, {}));
  deepEqual(socket.sent.map((text) => JSON.parse(text).message), [
    "expected at most 1000 user ids, got 30000; what you watched before is still watched",
    "userIds.0: expected a user id from 1 to 2147483647, got {}",
  ]);
  const time = (text: string) => {
    const messages = create();
    const startedAt = performance.now();
    messages.take(text);
    return performance.now() - startedAt;
  };
  const median = (text: string) =>
    Array.from({ length: 21 }, () => time(text)).sort((a, b) => a - b)[10] ?? 0;
  // A list of the same size in another field is read and no more.
  const idle = median(`{"type":"?","userIds":[${"0,".repeat(29_999)}0]}`);
  ok(median(list(30_000, 0)) < 3 * idle + 0.2);
});
