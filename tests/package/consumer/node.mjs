// node node.mjs URL TOKEN: connects, prints what it gets, and ends by itself.
import { connect } from "@rollcall/client";
import { toStore } from "@rollcall/client/svelte";
import { usePresence } from "@rollcall/client/vue";
import { effectScope, watch } from "vue";
import { WebSocket as WebSocketOfWs } from "ws";

const [, , url, token] = process.argv;
const options = typeof WebSocket === "undefined" ? { WebSocket: WebSocketOfWs } : {};
const rollcall = connect(url, { token, ...options });

const seen = { vue: [], svelte: [] };
const stateOf = ({ connection, count }) => `${connection.state} ${count}`;
const scope = effectScope();
scope.run(() => {
  const presence = usePresence(rollcall);
  const note = () => seen.vue.push(stateOf(presence.value));
  watch(presence, note, { flush: "sync", immediate: true });
});
const unsubscribe = toStore(rollcall).subscribe((presence) => seen.svelte.push(stateOf(presence)));

for await (const { type, user } of rollcall) {
  console.log(`${user.username} ${type}`);
  if (type === "online") continue;
  scope.stop();
  unsubscribe();
  rollcall.close();
  break; // the loop may hold a change that came before the close
}
console.log(JSON.stringify(seen));
