/**
 * WebKitGTK's small browser, through WebDriver, on a display that nobody sees.
 *
 * https://w3c.github.io/webdriver/
 *
 * @module
 */
import {
  type Browser,
  clickActions,
  keyActions,
  type Page,
} from "./browser.ts";
import { freePort } from "./ports.ts";
import { startProgram } from "./program.ts";

/** The driver has no events, so the page keeps its errors, from the end of loading on. */
const KEEP_FAULTS = `(() => {
  globalThis.faults ??= [];
  const keep = (name, toText) =>
    addEventListener(name, (event) => faults.push(toText(event)));
  keep("error", ({ message }) => message);
  keep("unhandledrejection", ({ reason }) => String(reason));
  keep("securitypolicyviolation", ({ blockedURI }) => "Security Policy " + blockedURI);
})()`;

export async function launchWebKit(
  driver: string,
  display: string,
): Promise<Browser> {
  const screen = await startProgram(
    [display, "-displayfd", "1", "-nolisten", "tcp"].concat(
      ["-screen", "0", "1600x1200x24"],
    ),
    {},
    (output) => /^(\d+)\n/m.exec(output)?.[1],
  );
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const program = await startProgram(
    [driver, `--port=${port}`],
    { DISPLAY: `:${screen.ready}`, GDK_BACKEND: "x11" },
    () => fetch(`${url}/status`).then((r) => r.json()).catch(() => undefined),
  );
  const { sessionId } = await command("POST", `${url}/session`, {
    capabilities: {},
  });
  const session = new Session(`${url}/session/${sessionId}`);
  // Stays open, because a command can go only to a window that is.
  const first = await session.call("GET", "/window");
  return {
    open: async () => {
      const type = "window";
      const { handle } = await session.callIn(first, "POST", "/window/new", {
        type,
      });
      return toPage(session, handle);
    },
    [Symbol.asyncDispose]: async () => {
      await session.call("DELETE", "");
      await program.stop();
      await screen.stop();
    },
  };
}

function toPage(session: Session, handle: string): Page {
  const post = (path: string, body: object = {}) =>
    session.callIn(handle, "POST", path, body);
  const evaluate = (expression: string) =>
    post("/execute/sync", {
      script: `return (async () => await (${expression}))()`,
      args: [],
    });
  const load = async (path: string, body: object = {}) => {
    await post(path, body);
    await evaluate(KEEP_FAULTS);
  };
  return {
    goto: (url) => load("/url", { url }),
    reload: () => load("/refresh"),
    back: () => post("/back"),
    evaluate,
    clickAt: (x, y) => post("/actions", { actions: clickActions(x, y) }),
    press: (key, held = []) =>
      post("/actions", { actions: keyActions(key, held) }),
    resize: (width, height) => post("/window/rect", { width, height }),
    setOffline: (isOffline) =>
      evaluate(`void (() => {
        Object.defineProperty(navigator, "onLine", {
          ...{ value: ${!isOffline}, configurable: true },
        });
        dispatchEvent(new Event("${isOffline ? "offline" : "online"}"));
      })()`),
    faults: () => evaluate("globalThis.faults ?? []"),
    close: () => session.callIn(handle, "DELETE", "/window"),
  };
}

/** What a command returns, which depends on the command. */
// deno-lint-ignore no-explicit-any
type Value = any;

/** The driver has one session, whose commands go to the window that was chosen last. */
class Session {
  readonly #url: string;
  #last: Promise<unknown> = Promise.resolve();

  constructor(url: string) {
    this.#url = url;
  }

  call(method: string, path: string, body?: object): Promise<Value> {
    return this.#afterLast(() => command(method, this.#url + path, body));
  }

  callIn(
    handle: string,
    method: string,
    path: string,
    body?: object,
  ): Promise<Value> {
    return this.#afterLast(async () => {
      await command("POST", `${this.#url}/window`, { handle });
      return await command(method, this.#url + path, body);
    });
  }

  #afterLast<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result;
    return result;
  }
}

async function command(
  method: string,
  url: string,
  body?: object,
): Promise<Value> {
  const init = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(url, { method, ...init });
  const { value } = await response.json();
  if (response.ok) return value;
  throw new Error(`${url}: ${value.error}: ${value.message}`);
}
