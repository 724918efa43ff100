import { deepEqual, equal, match, ok } from "node:assert/strict";
import { ClientMessages } from "../../../src/socket/client_messages.ts";
import { DISCONNECT } from "../../../src/client/protocol/disconnect.ts";
import { INTEGER_IDS } from "../../../src/client/protocol/user_id.ts";
import {
  liveConnection,
  rememberingLog,
  unlimited,
  WITHOUT_GROUPS,
} from "../../support/fakes.ts";
import { damagedMessage } from "../../support/fuzz.ts";
import { randomFrom } from "../../support/random.ts";

const INPUTS = 75_000;
const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);

/** The tokens so far are verified, and answered. */
const answered = () => new Promise((resolve) => setTimeout(resolve));

function clientMessages() {
  const { connection, socket } = liveConnection(1, { version: 2 });
  const watched: unknown[] = [];
  let now = 0;
  const log = rememberingLog();
  const create = () =>
    new ClientMessages(
      {
        ...unlimited(() =>
          Promise.resolve({ ok: false, why: DISCONNECT.tokenMalformed })
        ),
        fanout: {
          sendControl: (to, text) => to.send(text),
          watch: (_connection, ids) => {
            watched.push(ids);
            return "watching";
          },
          keepAlive: (to, silenceMs) => to.send(`keepalive ${silenceMs}`),
        },
        ...{ ...WITHOUT_GROUPS, log, ids: INTEGER_IDS },
        watchedUsersMax: 1_000,
        endOf: (exp) => exp,
        now: () => now,
      },
      connection,
      "192.0.2.1",
    );
  return { create, socket, watched, log, pass: (ms: number) => now += ms };
}

Deno.test(`[L1] ${INPUTS} damaged messages are each handled or answered with an error that names the field, seed ${SEED}`, async () => {
  const { create, socket, watched, log } = clientMessages();
  const random = randomFrom(SEED);
  let refreshes = 0;
  for (let n = 0; n < INPUTS; n++) {
    const [before, watchedBefore] = [socket.sent.length, watched.length];
    const text = damagedMessage(random);
    equal(create().receive(text), "received");
    const answers = socket.sent.slice(before);
    if (answers[0] === "keepalive 0") continue;
    const errors = answers.map((sent) => JSON.parse(sent));
    const isWatch = watched.length > watchedBefore;
    if (errors.length === 0 && !isWatch) refreshes += 1;
    for (const { code, message } of errors) {
      match(code, /^(bad_message|watch_too_large)$/, text);
      match(
        message,
        /^(expected JSON|[\w.]+: .*expected|expected at most)/,
        text,
      );
    }
  }
  ok(watched.length > INPUTS / 50, "too few messages were valid");
  ok(refreshes > INPUTS / 100);
  await answered();
  equal(log.events.length, 0);
});

Deno.test("[S4] the error for a watch that cannot be read repeats its ref, so that the client knows which watch is refused", () => {
  const { create, socket } = clientMessages();
  for (
    const message of [
      { type: "watch", userIds: [1, "2"], ref: 7 },
      { type: "watch", userIds: 5, ref: 8 },
      { type: "watch", userIds: ["x"] },
      { type: "watch", userIds: [1], ref: 0.5 },
      { type: "dance", ref: 9 },
    ]
  ) create().receive(JSON.stringify(message));
  const errors = socket.sent.map((text) => JSON.parse(text));
  deepEqual(errors.map(({ code }) => code), Array(5).fill("bad_message"));
  const none = undefined;
  deepEqual(errors.map(({ ref }) => ref), [7, 8, none, none, none]);
});

Deno.test("[S2] a ping is answered with a keepalive, however short the silence was", () => {
  const { create, socket } = clientMessages();
  equal(create().receive('{"type":"ping"}'), "received");
  deepEqual(socket.sent, ["keepalive 0"]);
});

Deno.test("[L1] a client has a limited burst of messages and a limited rate after it", () => {
  const { create, pass } = clientMessages();
  const messages = create();
  const watch = '{"type":"watch","userIds":[]}';
  for (let n = 0; n < 20; n++) equal(messages.receive(watch), "received");
  equal(messages.receive(watch), "too many");
  const other = create();
  for (let n = 0; n < 4; n++) equal(other.receive("{"), "received");
  pass(10_000);
  for (let n = 0; n < 4; n++) equal(other.receive("{"), "received");
  equal(other.receive("{"), "too many");
});

Deno.test("[L1] bad tokens use up the rate limit, even if they come slowly", async () => {
  const { create, pass } = clientMessages();
  const messages = create();
  const refresh = '{"type":"refresh","token":"bad"}';
  let received = 0;
  while (received < 100 && messages.receive(refresh) === "received") {
    received += 1;
    pass(700);
    await answered();
  }
  // The burst is 20, each message earns 1.4 and costs 5.
  ok(received < 10, `${received} were received`);
});

Deno.test("[L1] a list that is too long is not validated, and validation ends at the first bad id", () => {
  const { create, socket } = clientMessages();
  const list = (length: number, value: unknown) =>
    JSON.stringify({ type: "watch", userIds: Array(length).fill(value) });
  create().receive(list(30_000, 0));
  create().receive(list(1_000, {}));
  deepEqual(socket.sent.map((text) => JSON.parse(text).message), [
    "expected at most 1000 user ids, got 30000; the previous watch stays in effect",
    "userIds.0: expected a user id from 1 to 2147483647, got {}",
  ]);
  const time = (text: string) => {
    const messages = create();
    const startedAt = performance.now();
    messages.receive(text);
    return performance.now() - startedAt;
  };
  const median = (text: string) =>
    Array.from({ length: 21 }, () => time(text)).sort((a, b) => a - b)[10] ?? 0;
  // A list of the same size in an unknown message is parsed and not validated.
  const parsed = median(`{"type":"?","userIds":[${"0,".repeat(29_999)}0]}`);
  ok(median(list(30_000, 0)) < 3 * parsed + 0.2);
});
