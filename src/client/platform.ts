/**
 * The Web APIs that the library uses, and no others.
 *
 * The library is ECMAScript 2022, and needs nothing else that is not declared here. An
 * application's TypeScript needs no `lib` for it, and a test holds each member against the
 * browsers in docs/client.md. What is optional is absent somewhere: outside of browsers, or in
 * workers.
 *
 * @module
 */

export interface Platform {
  readonly WebSocket: PlatformSocketConstructor;
  readonly URL: new (url: string, base?: string) => PlatformUrl;
  readonly AbortController: new () => PlatformAbortController;
  readonly navigator?: { readonly onLine?: boolean };
  readonly location?: { readonly href: string };
  setTimeout(callback: () => void, ms: number): Timer;
  clearTimeout(timer: Timer | undefined): void;
  queueMicrotask(callback: () => void): void;
  addEventListener?(
    type: "online" | "offline",
    listener: () => void,
    options: { readonly signal: PlatformAbortSignal },
  ): void;
}

/** A number in browsers, an object in Node. */
export type Timer = number | object;

export interface PlatformUrl {
  readonly href: string;
  protocol: string;
  search: string;
  hash: string;
  readonly searchParams: {
    set(name: string, value: string): void;
    delete(name: string): void;
  };
}

export interface PlatformSocketConstructor {
  new (url: string, protocols: string[]): PlatformSocket;
  readonly OPEN: number;
}

export interface PlatformSocket {
  readonly readyState: number;
  onopen: ((event: unknown) => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onclose:
    | ((event: { readonly code: number; readonly reason: string }) => void)
    | null;
  onerror: ((event: unknown) => void) | null;
  send(data: string): void;
  close(): void;
}

/** An `AbortSignal`. The application's own type is assignable to it. */
export interface PlatformAbortSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void, options: object): void;
}

interface PlatformAbortController {
  readonly signal: PlatformAbortSignal;
  abort(): void;
}

/** Read with each use: an application may add a `WebSocket` after it has imported the library. */
export const platform: Platform = globalThis as unknown as Platform;
