/** How a client ends, and what its listeners and the server get to know. */
import { deepEqual, equal } from "node:assert/strict";
import { type FakeClient, fakeClient } from "./fake_platform.ts";

Deno.test("[P8] leave says to the server that the user does not come back, and close does not", async () => {
  const leaving = await fakeClient();
  leaving.platform.socket.connect();
  leaving.rollcall.leave();
  leaving.rollcall.leave();
  deepEqual(leaving.platform.socket.closes[0], [1000, "leave"]);
  deepEqual(leaving.rollcall.connection, {
    ...{ state: "closed", code: 1000, reason: "closed by the application" },
  });
  const closing = await fakeClient();
  closing.platform.socket.connect();
  closing.rollcall.close();
  deepEqual(closing.platform.socket.closes, [[undefined, undefined]]);
  equal(closing.infos.at(-1), leaving.infos.at(-1));
});

Deno.test("[L1] a closed client has no timer left, in whatever state it was", async () => {
  const refused = { type: "error", code: "bad_token", message: "" } as const;
  const waits: Record<string, (client: FakeClient) => void> = {
    "for a token": () => {},
    "for the socket": () => {},
    "for a message": ({ platform }) => platform.socket.open(),
    "for nothing": ({ platform }) => platform.socket.connect(),
    "for an answer": ({ platform }) => {
      platform.socket.isAnswering = false;
      platform.socket.connect();
      platform.fire("online");
    },
    "to refresh": ({ platform }) => {
      platform.socket.connect();
      platform.socket.receive(refused);
    },
    "to reconnect": ({ platform }) => platform.socket.refuse(),
  };
  for (const [name, happen] of Object.entries(waits)) {
    const never = new Promise<string>(() => {});
    const token = name === "for a token" ? () => never : () => "t";
    const client = await fakeClient({ token });
    happen(client);
    client.rollcall.close();
    equal(client.platform.timers.size, 0, `a client that waits ${name}`);
  }
});

for (const name of ["connection", "status"] as const) {
  Deno.test(`a listener of ${name} that closes the client leaves the others with the right last word`, async () => {
    const { rollcall, platform } = await fakeClient();
    const words: string[] = [];
    rollcall.on(name, ({ state }) => {
      if (state === "connected") rollcall.close();
    });
    rollcall.on("connection", ({ state }) => words.push(`connection ${state}`));
    rollcall.on("status", ({ state }) => words.push(`status ${state}`));
    platform.socket.connect();
    deepEqual(words.slice(-2), ["connection closed", "status closed"]);
    equal(words.includes("status connected"), false);
  });
}

Deno.test("after a listener closed the client, the others get no event about users", async () => {
  const { rollcall, platform } = await fakeClient();
  const seen: string[] = [];
  rollcall.on("online", () => rollcall.close());
  rollcall.on("online", ({ user }) => seen.push(user.username));
  platform.socket.connect();
  const online = [1, 2].map((id) => ({ id, username: `user${id}` }));
  const diff = { type: "presence_diff", seq: 2, online, offline: [] } as const;
  platform.socket.receive(diff);
  deepEqual(seen, []);
  equal(rollcall.connection.state, "closed");
});
