/**
 * The page lifecycle: what the browser says about its network and about the page.
 *
 * A page that the browser keeps in its back/forward cache, or freezes, runs no code, and its
 * browser may still answer the server's pings: its user would stay online for as long. Outside of
 * pages none of these events comes.
 *
 * @module
 */
import type { Platform, PlatformEvents, PlatformListener } from "./platform.ts";

export interface PageListeners {
  /** The page is about to run no more code, for seconds or hours. */
  readonly onSleep: () => void;
  /** A connection may be possible again, or wanted sooner, or broken. */
  readonly onWake: () => void;
  /** The browser says that it lost its network. */
  readonly onNetworkLost: () => void;
}

/** Returns a function that ends the calls. */
export function followPage(
  platform: Platform,
  { onSleep, onWake, onNetworkLost }: PageListeners,
): () => void {
  const { document } = platform;
  const removals: (() => void)[] = [];
  const listen = (
    source: Partial<PlatformEvents> | undefined,
    name: string,
    listener: PlatformListener,
  ) => {
    source?.addEventListener?.(name, listener);
    removals.push(() => source?.removeEventListener?.(name, listener));
  };
  listen(platform, "online", onWake);
  listen(platform, "offline", onNetworkLost);
  listen(platform, "pageshow", onWake);
  listen(platform, "pagehide", ({ persisted }) => {
    if (persisted) onSleep();
  });
  listen(document, "freeze", onSleep);
  listen(document, "resume", onWake);
  listen(document, "visibilitychange", () => {
    if (document?.visibilityState === "visible") onWake();
  });
  return () => removals.forEach((remove) => remove());
}
