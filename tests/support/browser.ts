/**
 * Real browsers, through the few operations that tests need.
 *
 * One interface for all of them, so that one test runs in each. What only one browser can do is in
 * its own file.
 *
 * @module
 */
import { launchChromium } from "./chromium.ts";
import { launchFirefox } from "./firefox.ts";
import { launchWebKit } from "./webkit.ts";

export interface Browser extends AsyncDisposable {
  /** Opens a window of its own, because a browser slows down pages in tabs that nobody sees. */
  open(): Promise<Page>;
}

export interface Page {
  /** Resolves when the page has loaded. */
  goto(url: string): Promise<void>;
  reload(): Promise<void>;
  /** Goes back in the history of the window. */
  back(): Promise<void>;
  /** The value of an expression, as JSON can carry it. A promise is awaited. */
  evaluate<T>(expression: string): Promise<T>;
  /** Moves the mouse there and presses its button. */
  clickAt(x: number, y: number): Promise<void>;
  /** Presses a key, alone or while others are held. A text is typed by its characters. */
  press(key: string, held?: readonly Key[]): Promise<void>;
  resize(width: number, height: number): Promise<void>;
  /**
   * The browser says that it has no network. In Chromium it has none then, in Firefox open sockets
   * go on, and in WebKit it is said to the page alone.
   */
  setOffline(isOffline: boolean): Promise<void>;
  /** The uncaught errors of the page, and what its Content-Security-Policy refused. */
  faults(): Promise<string[]>;
  close(): Promise<void>;
}

/** The names of keys without a character, with their codes in WebDriver. */
export const KEYS = {
  Tab: "\uE004",
  Enter: "\uE006",
  Control: "\uE009",
} as const;

export type Key = keyof typeof KEYS;

export type BrowserName = "Chromium" | "Firefox" | "WebKit";

interface Installation {
  readonly name: BrowserName;
  /** The programs that it needs; of several names one is enough. */
  readonly programs: readonly (readonly string[])[];
  readonly launch: (programs: readonly string[]) => Promise<Browser>;
}

const INSTALLATIONS: readonly Installation[] = [
  {
    name: "Chromium",
    programs: [["chromium", "chromium-browser", "google-chrome"]],
    launch: ([program = ""]) => launchChromium(program),
  },
  {
    name: "Firefox",
    programs: [["firefox-esr", "firefox"]],
    launch: ([program = ""]) => launchFirefox(program),
  },
  {
    name: "WebKit",
    programs: [["WebKitWebDriver"], ["Xvfb"]],
    launch: ([driver = "", display = ""]) => launchWebKit(driver, display),
  },
];

const FOLDERS = ["/usr/bin", ...(Deno.env.get("PATH") ?? "").split(":")];

export interface FoundBrowser {
  readonly name: BrowserName;
  /** Why tests cannot run in it here, or `undefined` if they can. */
  readonly missing: string | undefined;
  readonly launch: () => Promise<Browser>;
}

/** Browsers to test in, separated by commas. Default: all. */
const CHOSEN = Deno.env.get("TEST_BROWSERS")?.split(",");

export const BROWSERS: readonly FoundBrowser[] = INSTALLATIONS
  .filter(({ name }) => CHOSEN?.includes(name) ?? true)
  .map(({ name, programs, launch }) => {
    const paths = programs.map(find);
    const absent = programs.filter((_names, index) => !paths[index]);
    const missing = absent.length === 0
      ? undefined
      : `skipping the tests in ${name}: there is no ${
        absent.map((names) => names.join(" or ")).join(" and no ")
      } on the PATH`;
    return {
      ...{ name, missing },
      launch: () => {
        if (missing !== undefined) throw new Error(missing);
        return launch(paths.map((path) => path ?? ""));
      },
    };
  });

function find(names: readonly string[]): string | undefined {
  return FOLDERS
    .flatMap((folder) => names.map((name) => `${folder}/${name}`))
    .find(isFile);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** The same actions in WebDriver and in WebDriver BiDi. */
export function clickActions(x: number, y: number): unknown[] {
  return [{
    ...{ type: "pointer", id: "mouse" },
    actions: [
      { type: "pointerMove", x: Math.round(x), y: Math.round(y) },
      { type: "pointerDown", button: 0 },
      { type: "pointerUp", button: 0 },
    ],
  }];
}

/** The same actions in WebDriver and in WebDriver BiDi. */
export function keyActions(key: string, held: readonly Key[]): unknown[] {
  const values = key in KEYS ? [KEYS[key as Key]] : [...key];
  const down = (value: string) => ({ type: "keyDown", value });
  const up = (value: string) => ({ type: "keyUp", value });
  return [{
    ...{ type: "key", id: "keyboard" },
    actions: [
      ...held.map((name) => down(KEYS[name])),
      ...values.flatMap((value) => [down(value), up(value)]),
      ...held.toReversed().map((name) => up(KEYS[name])),
    ],
  }];
}
