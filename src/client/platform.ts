/**
 * The Web APIs that the library uses, and no others.
 *
 * The library is ECMAScript 2022, and needs nothing else that is not declared here. An
 * application's TypeScript needs no `lib` for it, and a test holds each member against the
 * browsers in docs/client.md. What is optional is absent somewhere: outside of browsers, or in
 * workers. Clocks and timers are here too, so that tests bring their own.
 *
 * @module
 */

export interface Platform extends Partial<PlatformEvents> {
  /** Absent in Node before 22, unless the application adds one. */
  readonly WebSocket: PlatformSocketConstructor;
  readonly URL: new (url: string, base?: string) => PlatformUrl;
  /** A clock that never goes back, and may stand still while the machine sleeps. */
  readonly performance: { now(): number };
  /** A clock that goes on while the machine sleeps, and that its user may set. */
  readonly Date: { now(): number };
  readonly navigator?: {
    readonly onLine?: boolean;
    readonly userAgent?: string;
  };
  readonly location?: { readonly href: string };
  /** Of the page, also in a worker from a `blob:` URL and in a frame with `srcdoc`. */
  readonly origin?: string;
  readonly document?: PlatformDocument;
  setTimeout(callback: () => void, ms: number): PlatformTimer;
  clearTimeout(timer: PlatformTimer | undefined): void;
  queueMicrotask(callback: () => void): void;
  fetch?(
    url: string,
    options: { readonly mode: "no-cors"; readonly cache: "no-store" },
  ): Promise<{ readonly status: number }>;
}

/** A number in browsers, an object in Node. */
export type PlatformTimer = number | object;

/** The global object has `online`, `offline`, `pageshow` and `pagehide`. */
export interface PlatformEvents {
  addEventListener(name: string, listener: PlatformListener): void;
  removeEventListener(name: string, listener: PlatformListener): void;
}

export type PlatformListener = (event: PlatformPageEvent) => void;

export interface PlatformPageEvent {
  /** Only of `pageshow` and `pagehide`. */
  readonly persisted?: boolean;
}

/** It has `visibilitychange`, and in some browsers `freeze` and `resume`. */
export interface PlatformDocument extends PlatformEvents {
  readonly baseURI: string;
  readonly visibilityState: string;
}

export interface PlatformUrl {
  readonly href: string;
}

export interface PlatformSocketConstructor {
  new (url: string, protocols: string[]): PlatformSocket;
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
  close(code?: number, reason?: string): void;
}

/** An `AbortSignal`. The application's own type is assignable to it. */
export interface PlatformAbortSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Read with each use: an application may add a `WebSocket` after it has imported the library. */
export const platform: Platform = globalThis as unknown as Platform;
