/**
 * The recent warnings are the last warnings and errors that were logged, for administrators who
 * have no log at hand.
 *
 * They are kept as they were written, without secrets, and cut: a line may contain a stack.
 *
 * @module
 */
import { cutText } from "../base/cut_text.ts";
import { WARNING_LENGTH_KEPT_MAX, WARNINGS_KEPT_MAX } from "./limits.ts";

export interface LoggedWarning {
  readonly at: string;
  readonly level: string;
  readonly event: string;
  /** The fields of the line, as JSON. Cut if there are too many. */
  readonly details: string;
}

export class RecentWarnings {
  readonly #warnings: LoggedWarning[] = [];

  /** Remembers a line of the log, in JSON, if it is a warning or an error. */
  add(line: string): void {
    // The level comes first. Nearly all lines are less than a warning, and need not be parsed.
    if (!/^\{"level":"(warn|error)"/.test(line)) return;
    const { time: at, level, msg: event, ...fields } = JSON.parse(line);
    const all = JSON.stringify(fields);
    const cut = cutText(all, WARNING_LENGTH_KEPT_MAX);
    const details = cut === all ? all : `${cut}...`;
    this.#warnings.push({ at, level, event, details });
    if (this.#warnings.length > WARNINGS_KEPT_MAX) this.#warnings.shift();
  }

  newestFirst(): readonly LoggedWarning[] {
    return this.#warnings.toReversed();
  }
}

/** Those of this process. */
export const recentWarnings: RecentWarnings = new RecentWarnings();
