/**
 * The client library in Svelte 4 and 5: what a client knows, as a store.
 *
 * @example
 * ```ts
 * const rollcall = connect("wss://presence.example/ws", { token: getToken });
 * const presence = toStore(rollcall); // in the markup: $presence.count, $presence.isOnline(7)
 * ```
 *
 * @module
 */
import type { Presence, Rollcall } from "./client.ts";

export type { Presence } from "./client.ts";

/** What Svelte subscribes to for a name with `$` before it. */
export interface PresenceStore {
  /** Calls `run` now and after each change. Returns a function that ends the calls. */
  subscribe(run: (presence: Presence) => void): () => void;
}

/** Follows the client while somebody is subscribed. The client stays open. */
export function toStore(rollcall: Rollcall): PresenceStore {
  return {
    subscribe: (run) => {
      run(rollcall.presence);
      return rollcall.on("presence", run);
    },
  };
}
