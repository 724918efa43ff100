import {
  connect,
  type ConnectionInfo,
  type Events,
  type Options,
  type Presence,
  type PresenceChange,
  type Rollcall,
  type User,
  type UserId,
} from "@rollcall/client";
import { type PresenceStore, toStore } from "@rollcall/client/svelte";

const options: Options = { token: () => Promise.resolve("a.b.c"), watch: [1, "b"] };
export const rollcall: Rollcall = connect("wss://presence.example/ws", options);
export const stop: () => void = rollcall.on("online", ({ user }) => {
  const { id, username, since }: User = user;
  if (since !== undefined) void [id, username, since.getTime()];
});
rollcall.on("state", (users: Events["state"]) => void users.get(1)?.username);
rollcall.on("connection", ({ state, code, reason, retryMs }: ConnectionInfo) => {
  if (state === "reconnecting") void [code, reason, retryMs];
});
rollcall.on("presence", ({ count, isOnline }: Presence) => void [count, isOnline("b")]);
rollcall.on("error", ({ code, message }) => void [code, message]);
rollcall.watch("*");
export const store: PresenceStore = toStore(rollcall);
export const ids: UserId[] = [...rollcall.users.keys()];
export async function changes(seen: PresenceChange[]): Promise<void> {
  for await (const change of rollcall) seen.push(change);
}
