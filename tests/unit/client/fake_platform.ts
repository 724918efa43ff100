/**
 * A browser for a client under test: its clocks, sockets, server and page do what the test says.
 *
 * @module
 */
import { Rollcall } from "../../../src/client/client.ts";
import type {
  Platform,
  PlatformListener,
  PlatformSocket,
} from "../../../src/client/platform.ts";
import { TIMING } from "../../../src/client/timing.ts";
import type { ServerMessage } from "../../../src/client/protocol/messages.ts";
import { FakeClock } from "../../support/fake_clock.ts";

/** The client's end of a connection, and what the server does with it. */
export class FakeSocket implements PlatformSocket {
  readyState = 0;
  onopen: PlatformSocket["onopen"] = null;
  onmessage: PlatformSocket["onmessage"] = null;
  onclose: PlatformSocket["onclose"] = null;
  onerror: PlatformSocket["onerror"] = null;
  /** The types of the client's messages. */
  readonly sent: string[] = [];
  /** How the client closed it. */
  readonly closes: (readonly [code?: number, reason?: string])[] = [];
  readonly url: string;
  readonly token: string | undefined;
  /** Whether the server answers a ping. */
  isAnswering = true;

  constructor(url: string, protocols: readonly string[]) {
    this.url = url;
    this.token = protocols[1]?.replace("bearer.", "");
  }

  send(data: string): void {
    const { type } = JSON.parse(data);
    this.sent.push(type);
    if (type === "ping" && this.isAnswering) {
      this.receive({ type: "keepalive", seq: 1 });
    }
  }

  close(...how: [code?: number, reason?: string]): void {
    this.readyState = 3;
    this.closes.push(how);
  }

  /** It opens, and a first message makes the client connected. */
  connect(): void {
    this.open();
    this.receive({ type: "presence_state", seq: 1, users: [] });
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.({});
  }

  receive(message: ServerMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** The server, or the browser, closes it. */
  end(code: number, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  /** As in browsers: an error without an explanation, then a close. */
  refuse(): void {
    this.onerror?.({});
    this.end(1006);
  }
}

/** Listeners by the name of their event. */
class FakeEvents {
  readonly #listeners = new Map<string, Set<PlatformListener>>();

  addEventListener(name: string, listener: PlatformListener): void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
  }

  removeEventListener(name: string, listener: PlatformListener): void {
    this.#listeners.get(name)?.delete(listener);
  }

  fire(name: string, event: { readonly persisted?: boolean } = {}): void {
    for (const listener of [...this.#listeners.get(name) ?? []]) {
      listener(event);
    }
  }

  get count(): number {
    return [...this.#listeners.values()].reduce(
      (sum, { size }) => sum + size,
      0,
    );
  }
}

class FakeDocument extends FakeEvents {
  baseURI = "https://presence.example/page";
  visibilityState = "visible";
}

export class FakePlatform extends FakeEvents implements Platform {
  readonly clock: FakeClock;
  readonly sockets: FakeSocket[] = [];
  /** URLs that were fetched. */
  readonly fetched: string[] = [];
  /** What a fetch resolves with; `undefined`: it fails. */
  status: number | undefined = 200;
  /** How far the wall clock is ahead of the other one. */
  wallAheadMs = 0;
  readonly navigator = { onLine: true, userAgent: "Chrome/130.0" };
  readonly document = new FakeDocument();
  readonly origin = "https://presence.example";
  readonly location = { href: "https://presence.example/page" };
  readonly URL = URL;
  readonly performance = { now: () => this.clock.now() };
  readonly Date = { now: () => this.clock.now() + this.wallAheadMs };
  readonly WebSocket: Platform["WebSocket"];
  /** What the constructor of a socket throws. */
  forbids: Error | undefined;

  constructor(clock: FakeClock = new FakeClock()) {
    super();
    this.clock = clock;
    const open = (url: string, protocols: string[]) => {
      if (this.forbids !== undefined) throw this.forbids;
      const socket = new FakeSocket(url, protocols);
      this.sockets.push(socket);
      return socket;
    };
    this.WebSocket = class {
      constructor(url: string, protocols: string[]) {
        return open(url, protocols);
      }
    } as unknown as Platform["WebSocket"];
  }

  /** Timers that are not cleared and have not fired. */
  readonly timers = new Set<object>();

  setTimeout(callback: () => void, ms: number): object {
    const timer = this.clock.after(ms, () => {
      this.timers.delete(timer);
      callback();
    });
    this.timers.add(timer);
    return timer;
  }

  clearTimeout(timer: number | object | undefined): void {
    if (typeof timer !== "function") return;
    this.timers.delete(timer);
    timer();
  }

  queueMicrotask(callback: () => void): void {
    queueMicrotask(callback);
  }

  fetch(url: string): Promise<{ readonly status: number }> {
    this.fetched.push(url);
    const { status } = this;
    if (status === undefined) return Promise.reject(new TypeError("blocked"));
    return Promise.resolve({ status });
  }

  /** The newest socket. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("there is no socket");
    return socket;
  }

  /** The page is blocked for this long: what becomes due meanwhile happens afterwards, late. */
  block(ms: number): void {
    this.clock.spend(ms);
  }

  /** The machine sleeps for this long. Only the wall clock goes on. */
  sleep(ms: number): void {
    this.wallAheadMs += ms;
  }
}

export interface FakeClient {
  readonly rollcall: Rollcall;
  readonly platform: FakePlatform;
  /** The states of the connection with their reasons, in order. */
  readonly infos: string[];
  /** Advances both clocks. */
  advance(ms: number): Promise<void>;
  readonly state: string;
}

/** A client with the real times and no jitter, which has opened its first socket. */
export async function fakeClient(
  {
    token = "t",
    platform = new FakePlatform(),
    url = "wss://presence.example/ws",
    timing = {},
  }: {
    token?: string | (() => string | Promise<string>);
    platform?: FakePlatform;
    url?: string;
    timing?: Partial<typeof TIMING>;
  } = {},
): Promise<FakeClient> {
  const times = { ...TIMING, random: () => 1, ...timing };
  const rollcall = new Rollcall(url, { token }, times, platform);
  const infos: string[] = [];
  rollcall.on("connection", ({ state, reason }) => {
    infos.push(reason === undefined ? state : `${state}: ${reason}`);
  });
  const advance = (ms: number) => platform.clock.advance(ms);
  await advance(0);
  return {
    ...{ rollcall, platform, infos, advance },
    get state() {
      return rollcall.connection.state;
    },
  };
}
