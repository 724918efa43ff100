/**
 * Firefox, through WebDriver BiDi, which it speaks by itself: commands and events over a WebSocket.
 *
 * https://w3c.github.io/webdriver-bidi/
 *
 * @module
 */
import {
  type Browser,
  clickActions,
  keyActions,
  type Page,
} from "./browser.ts";
import { startProgram } from "./program.ts";
import { until } from "./until.ts";

/** Firefox writes a new profile before it listens, which takes a while on a busy machine. */
const START_MS = 60_000;

interface Message {
  readonly id?: number;
  readonly type: "success" | "error" | "event";
  // deno-lint-ignore no-explicit-any
  readonly result?: any;
  readonly message?: string;
  readonly method?: string;
  // deno-lint-ignore no-explicit-any
  readonly params?: any;
}

export async function launchFirefox(program: string): Promise<Browser> {
  const profile = await Deno.makeTempDir({ prefix: "rollcall-firefox-" });
  const process = await startProgram(
    [program, "--headless", "--no-remote", "--remote-debugging-port=0"].concat(
      ["--profile", profile],
    ),
    { HOME: profile },
    (output) => /WebDriver BiDi listening on (ws:\S+)/.exec(output)?.[1],
    START_MS,
  );
  const session = await Session.open(`${process.ready}/session`);
  await session.call("session.new", { capabilities: {} });
  await session.call("session.subscribe", { events: ["log.entryAdded"] });
  return {
    open: async () => {
      const { context } = await session.call("browsingContext.create", {
        type: "window",
      });
      return toPage(session, context);
    },
    [Symbol.asyncDispose]: async () => {
      await session.call("browser.close");
      await session.close();
      await process.ended;
      await Deno.remove(profile, { recursive: true });
    },
  };
}

function toPage(session: Session, context: string): Page {
  const faults: string[] = [];
  session.onEvent((method, { type, level, text, source }) => {
    if (method !== "log.entryAdded" || source.context !== context) return;
    // A socket that ends or cannot open is no fault of the page.
    const isFault = type === "javascript" && level === "error" &&
      !/\bwss?:\/\//.test(text);
    if (isFault) faults.push(text);
  });
  const call = (method: string, params: object = {}) =>
    session.call(method, { context, ...params });
  const evaluate = async <T>(expression: string): Promise<T> => {
    const { type, result, exceptionDetails } = await call("script.evaluate", {
      expression:
        `(async () => JSON.stringify(await (${expression}) ?? null))()`,
      ...{ target: { context }, awaitPromise: true },
    });
    if (type === "exception") throw new Error(exceptionDetails.text);
    return JSON.parse(result.value);
  };
  return {
    goto: (url) => call("browsingContext.navigate", { url, wait: "complete" }),
    reload: () => call("browsingContext.reload", { wait: "complete" }),
    back: async () => {
      const left = await evaluate("location.href");
      await call("browsingContext.traverseHistory", { delta: -1 });
      // The answer comes before the other page does.
      await until("Firefox has gone back", () =>
        evaluate<boolean>(
          `location.href !== ${JSON.stringify(left)} &&
            document.readyState === "complete"`,
        ).catch(() => false));
    },
    evaluate,
    clickAt: (x, y) =>
      call("input.performActions", { actions: clickActions(x, y) }),
    press: (key, held = []) =>
      call("input.performActions", { actions: keyActions(key, held) }),
    resize: (width, height) =>
      call("browsingContext.setViewport", { viewport: { width, height } }),
    faults: () => Promise.resolve(faults),
    close: () => call("browsingContext.close"),
    setOffline: (isOffline) =>
      session.call("emulation.setNetworkConditions", {
        contexts: [context],
        networkConditions: isOffline ? { type: "offline" } : null,
      }),
  };
}

/** One WebSocket to Firefox. */
class Session {
  readonly #socket: WebSocket;
  readonly #calls = new Map<number, (message: Message) => void>();
  readonly #listeners: ((method: string, params: Message["params"]) => void)[] =
    [];
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => {
      const gone: Message = { type: "error", message: "Firefox has ended" };
      for (const [id] of this.#calls) this.#receive({ ...gone, id });
    };
  }

  static async open(url: string): Promise<Session> {
    const socket = new WebSocket(url);
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = (event) =>
        reject(new Error((event as ErrorEvent).message));
    });
    return new Session(socket);
  }

  onEvent(listener: (method: string, params: Message["params"]) => void): void {
    this.#listeners.push(listener);
  }

  async call(method: string, params: object = {}): Promise<Message["result"]> {
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<Message>();
    this.#calls.set(id, resolve);
    this.#socket.send(JSON.stringify({ id, method, params }));
    const { type, result, message } = await promise;
    if (type === "success") return result;
    throw new Error(`${method}: ${message}`);
  }

  async close(): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.addEventListener("close", () => resolve());
    this.#socket.close();
    await promise;
  }

  #receive(message: Message): void {
    const { id, method = "", params } = message;
    if (id === undefined) {
      for (const listener of this.#listeners) listener(method, params);
      return;
    }
    this.#calls.get(id)?.(message);
    this.#calls.delete(id);
  }
}
