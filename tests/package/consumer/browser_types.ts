import { connect, type Presence, type Rollcall } from "@rollcall/client";
import { usePresence } from "@rollcall/client/vue";
import type { ShallowRef } from "vue";
import { WebSocket as WebSocketOfWs } from "ws";

// The types of browsers, of Vue and of ws are assignable to the client's own.
const rollcall: Rollcall = connect(new URL("wss://presence.example/ws"), {
  token: "a.b.c",
  signal: new AbortController().signal,
  WebSocket,
});
connect("wss://presence.example/ws", { token: "a.b.c", WebSocket: WebSocketOfWs });
export const presence: Readonly<ShallowRef<Presence>> = usePresence(rollcall);
