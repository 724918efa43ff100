/** What an application draws: values that never change, and one event for all that changes. */
import { deepEqual, equal, notEqual } from "node:assert/strict";
import { type Presence, Rollcall } from "../../../src/client/client.ts";
import type { UserId } from "../../../src/client/protocol/user_id.ts";
import { toStore } from "../../../src/client/svelte.ts";
import { TIMING } from "../../../src/client/timing.ts";
import { type FakeClient, fakeClient, FakePlatform } from "./fake_platform.ts";

const ADA = { id: 1, username: "ada" };
const BOB = { id: 2, username: "bob" };

/** A client that is connected, with ada online, and each presence that it has delivered since. */
async function connected(): Promise<
  FakeClient & { readonly delivered: readonly Presence[] }
> {
  const client = await fakeClient();
  const { socket } = client.platform;
  socket.open();
  socket.receive({ type: "presence_state", seq: 1, users: [ADA] });
  const delivered: Presence[] = [];
  client.rollcall.on("presence", (presence) => delivered.push(presence));
  return { ...client, delivered };
}

const namesOf = ({ users }: Presence) =>
  [...users.values()].map(({ username }) => username);

Deno.test("[S1] presence is one value until something changes, and the values before stay as they were", async () => {
  const { rollcall, platform } = await connected();
  const before = rollcall.presence;
  equal(rollcall.presence, before);
  platform.socket.receive({ type: "keepalive", seq: 2 });
  equal(rollcall.presence, before, "a keepalive changes nothing");
  platform.socket.receive({
    ...{ type: "presence_diff", seq: 3 },
    ...{ online: [BOB], offline: [1] },
  });
  notEqual(rollcall.presence, before);
  deepEqual([namesOf(before), before.count], [["ada"], 1]);
  deepEqual(namesOf(rollcall.presence), ["bob"]);
  deepEqual([before.isOnline(1), before.isOnline(2)], [true, false]);
  rollcall.close();
});

Deno.test("[S1] the event presence comes once for a message, with all that it changed", async () => {
  const { rollcall, platform, delivered } = await connected();
  const diff = { type: "presence_diff", offline: [] } as const;
  platform.socket.receive({ ...diff, seq: 2, online: [BOB] });
  platform.socket.receive({
    ...{ ...diff, seq: 3, offline: [1, 2] },
    online: [{ id: 3, username: "cyd" }, { id: 4, username: "dan" }],
  });
  deepEqual(delivered.map(namesOf), [["ada", "bob"], ["cyd", "dan"]]);
  platform.socket.receive({ ...diff, seq: 4, online: [] });
  equal(delivered.length, 2, "nothing changed");
  platform.socket.receive({
    ...{ ...diff, seq: 5 },
    online: [{ id: 3, username: "eve" }],
  });
  deepEqual(delivered.slice(2).map(namesOf), [["eve", "dan"]]);
  equal(delivered.at(-1), rollcall.presence);
  rollcall.close();
});

Deno.test("the event presence comes with each state of the connection, the users as they were", async () => {
  const { rollcall, platform, delivered, advance } = await connected();
  platform.socket.end(1006);
  await advance(TIMING.backoffFirstMs);
  platform.socket.open();
  platform.socket.receive({
    ...{ type: "presence_diff", seq: 1 },
    ...{ online: [], offline: [] },
  });
  rollcall.close();
  deepEqual(
    delivered.map(({ connection }) => connection.state),
    ["reconnecting", "connecting", "connected", "closed"],
  );
  for (const presence of delivered) {
    equal(presence.users, delivered[0]?.users);
    equal(presence.isOnline(1), true);
  }
});

Deno.test("a listener that closes the client leaves the others with the newest presence only", async () => {
  const { rollcall, platform } = await connected();
  const states: string[] = [];
  rollcall.on("presence", () => rollcall.close());
  rollcall.on("presence", ({ connection }) => states.push(connection.state));
  platform.socket.receive({
    ...{ type: "presence_diff", seq: 2 },
    ...{ online: [BOB], offline: [] },
  });
  deepEqual(states, ["closed"]);
});

/** A client with this watch set, after one message. */
async function watching(
  watch: UserId[] | "*",
  message: Parameters<FakePlatform["socket"]["receive"]>[0],
): Promise<Rollcall> {
  const platform = new FakePlatform();
  const options = { token: "t", watch };
  const url = "wss://presence.example/ws";
  const rollcall = new Rollcall(url, options, TIMING, platform);
  equal(rollcall.presence.isOnline(1), undefined, "nothing is known yet");
  await platform.clock.advance(0);
  platform.socket.open();
  platform.socket.receive(message);
  return rollcall;
}

Deno.test("[U3] isOnline takes an id as the application has it, and says what is not known", async () => {
  const uuid = "0190C8E5-0000-7000-8000-00000000000A";
  const users = [
    ADA,
    { id: "7", username: "text" },
    { id: uuid.toLowerCase(), username: "uuid" },
    { id: "Zoe 1", username: "zoe" },
  ];
  const state = { type: "presence_state", seq: 1, users } as const;
  const all = await watching("*", state);
  for (const id of [1, "1", 7, "7", uuid, uuid.toLowerCase(), "Zoe 1"]) {
    equal(all.presence.isOnline(id), true, `${id}`);
  }
  for (const id of [2, "01", "1.0", " 1", "zoe 1", "NaN", ""]) {
    equal(all.presence.isOnline(id), false, `${id}`);
  }
  const some = await watching(["1", 2], { ...state, users: [ADA] });
  deepEqual([1, "2", 3].map(some.presence.isOnline), [true, false, undefined]);
  const counted = { type: "presence_count", seq: 1, online: 9 } as const;
  const many = await watching("*", counted);
  deepEqual([many.presence.count, many.presence.isOnline(1)], [9, undefined]);
  for (const client of [all, some, many]) client.close();
});

Deno.test("the store for Svelte calls its subscriber at once, and until it unsubscribes", async () => {
  const { rollcall, platform } = await connected();
  const seen: string[][] = [];
  const unsubscribe = toStore(rollcall)
    .subscribe((presence) => seen.push(namesOf(presence)));
  const diff = { type: "presence_diff", offline: [] } as const;
  platform.socket.receive({ ...diff, seq: 2, online: [BOB] });
  unsubscribe();
  platform.socket.receive({
    ...{ ...diff, seq: 3 },
    online: [{ id: 3, username: "cyd" }],
  });
  deepEqual(seen, [["ada"], ["ada", "bob"]]);
  rollcall.close();
});

Deno.test("a client makes its sockets from the class in its options", async () => {
  const [own, other] = [new FakePlatform(), new FakePlatform()];
  const { WebSocket } = other;
  const url = "wss://presence.example/ws";
  const rollcall = new Rollcall(url, { token: "t", WebSocket }, TIMING, own);
  await own.clock.advance(0);
  deepEqual([own.sockets.length, other.sockets.length], [0, 1]);
  rollcall.close();
});
