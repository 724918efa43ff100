"use client";
/**
 * The client library in React 18 and 19: a provider that keeps a client connected while it is
 * mounted, and hooks that read what the client knows.
 *
 * What the hooks return never changes in place, so concurrent rendering shows one moment. On a
 * server nothing connects, and nothing is known yet.
 *
 * @example
 * ```tsx
 * import { PresenceProvider, useIsOnline } from "@rollcall/client/react";
 *
 * const Dot = ({ userId }) => <b>{useIsOnline(userId) ? "online" : "offline"}</b>;
 *
 * export const App = ({ me }) => (
 *   <PresenceProvider key={me.id} url="wss://presence.example/ws" token={getToken}>
 *     <Dot userId={7} />
 *   </PresenceProvider>
 * );
 * ```
 *
 * @module
 */
import {
  createContext,
  createElement,
  type ReactNode,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import {
  type Address,
  connect,
  type Options,
  type Presence,
  type Rollcall,
  type UserId,
} from "./client.ts";
import { NOTHING_KNOWN } from "./presence.ts";
import { formatIdList } from "./protocol/user_id.ts";

export type { Presence } from "./client.ts";

/** The client of a provider, which there is from its mount to its unmount. */
class ClientHolder {
  #client: Rollcall | undefined;
  readonly #listeners = new Set<() => void>();

  readonly client = (): Rollcall | undefined => this.#client;

  readonly presence = (): Presence => this.#client?.presence ?? NOTHING_KNOWN;

  readonly subscribe = (listener: () => void): () => void => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /** Holds this client. Returns a function that closes it. */
  hold(client: Rollcall): () => void {
    const tell = () => this.#listeners.forEach((listener) => listener());
    const change = (next: Rollcall | undefined) => {
      this.#client = next;
      tell();
    };
    const unfollow = client.on("presence", tell);
    change(client);
    return () => {
      unfollow();
      client.close();
      change(undefined);
    };
  }
}

const HolderContext = createContext<ClientHolder | undefined>(undefined);

/** The properties of {@linkcode PresenceProvider}. */
export interface PresenceProviderProps
  extends Pick<Options, "token" | "watch" | "WebSocket"> {
  /** The server's `/ws`. Another URL makes another connection. */
  readonly url: Address;
  readonly children?: ReactNode;
}

/**
 * Connects when it is mounted, and closes when it is unmounted. `token` and `watch` may be new in
 * each rendering: the next token comes from the newest function, and other ids are watched over the
 * same connection. Give it the user's id as its `key`, so that another user gets another connection.
 */
export function PresenceProvider(
  { url, token, watch = "*", WebSocket, children }: PresenceProviderProps,
): ReactNode {
  const [holder] = useState(() => new ClientHolder());
  const newestToken = useRef(token);
  const ids = watch === "*" ? watch : [...watch];
  const watchKey = ids === "*" ? ids : formatIdList(ids);
  const href = typeof url === "string" ? url : url.href;
  useEffect(() => void (newestToken.current = token));
  useEffect(() => {
    const nextToken = () => {
      const { current } = newestToken;
      return typeof current === "function" ? current() : current;
    };
    const options = WebSocket === undefined ? {} : { WebSocket };
    return holder.hold(
      connect(href, { token: nextToken, watch: ids, ...options }),
    );
  }, [holder, href, WebSocket]);
  useEffect(() => holder.client()?.watch(ids), [holder, watchKey]);
  return createElement(HolderContext.Provider, { value: holder }, children);
}

function useHolder(hook: string): ClientHolder {
  const holder = useContext(HolderContext);
  if (holder !== undefined) return holder;
  throw new Error(
    `Cannot call ${hook} here: expected a PresenceProvider around the component`,
  );
}

/** The watched users who are online, their number, and the connection. It renders at each change. */
export function usePresence(): Presence {
  const { subscribe, presence } = useHolder("usePresence");
  return useSyncExternalStore(subscribe, presence, () => NOTHING_KNOWN);
}

/** Whether a user is online; `undefined` while it is not known. It renders when that changes. */
export function useIsOnline(userId: UserId): boolean | undefined {
  const { subscribe, presence } = useHolder("useIsOnline");
  return useSyncExternalStore(
    subscribe,
    () => presence().isOnline(userId),
    () => undefined,
  );
}

/** The client itself, for its events and for `leave`; `undefined` until it is connecting. */
export function useRollcall(): Rollcall | undefined {
  const { subscribe, client } = useHolder("useRollcall");
  return useSyncExternalStore(subscribe, client, () => undefined);
}
