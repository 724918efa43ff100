/**
 * The client library in Vue 3: what a client knows, as a ref.
 *
 * @example
 * ```ts
 * const rollcall = connect("wss://presence.example/ws", { token: getToken });
 * const presence = usePresence(rollcall); // in the template: presence.count, presence.isOnline(7)
 * ```
 *
 * @module
 */
import { onScopeDispose, type ShallowRef, shallowRef } from "vue";
import type { Presence, Rollcall } from "./client.ts";

export type { Presence } from "./client.ts";

/** Call it in `setup`: it follows the client until the component is unmounted. The client stays open. */
export function usePresence(
  rollcall: Rollcall,
): Readonly<ShallowRef<Presence>> {
  const presence = shallowRef(rollcall.presence);
  onScopeDispose(
    rollcall.on("presence", (next) => void (presence.value = next)),
  );
  return presence;
}
