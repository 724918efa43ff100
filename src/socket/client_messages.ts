/**
 * What version 2 clients say, read and answered for.
 *
 * A message that cannot be understood gets an error that names what is wrong with it, and
 * costs more than others of what a client may say. Nothing here decides who hears what.
 *
 * @module
 */
import { z } from "zod";
import type { Verify } from "../access/token/verifier.ts";
import type { Connection } from "../core/connections/connection.ts";
import type { Fanout } from "../core/fanout/fanout.ts";
import { BAD_MESSAGE_COST } from "./limits.ts";
import {
  CLIENT_MESSAGES_MAX,
  CLIENT_MESSAGES_PER_SECOND_MAX,
} from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { ErrorCode } from "../protocol/messages.ts";
import { parseUserId, USER_ID_MAX, type UserId } from "../protocol/user_id.ts";
import { encodeError } from "../core/fanout/sync_messages.ts";
import { TokenBucket } from "../base/token_bucket.ts";
import { logUnverified } from "../access/verify.ts";

export interface MessageDeps {
  readonly verify: Verify;
  readonly fanout: Pick<Fanout, "sendControl" | "watch">;
  readonly log: Log;
  readonly watchedUsersMax: number;
  /** When a token ends, by the clock of the core. */
  readonly endOf: (exp: number) => number;
  readonly now: () => number;
}

/** Whether a list holds user ids is looked at later, if it is short: zod would tell each fault. */
const userIds = z.custom<readonly unknown[] | "*">(
  (value) => value === "*" || Array.isArray(value),
  'expected a list of user ids, or "*"',
);

const clientMessage = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("watch"),
    userIds,
    ref: z.int("expected a whole number").optional(),
  }),
  z.object({
    type: z.literal("refresh"),
    token: z.string("expected a token").min(1, "expected a token"),
  }),
], { error: 'expected "watch" or "refresh"' });

/** A `ClientMessage` whose user ids have not been looked at. */
type Said = z.infer<typeof clientMessage>;

/** Reads the messages of one connection. */
export class ClientMessages {
  readonly #deps: MessageDeps;
  readonly #connection: Connection;
  readonly #budget: TokenBucket;

  constructor(deps: MessageDeps, connection: Connection) {
    this.#deps = deps;
    this.#connection = connection;
    this.#budget = messageBudget(deps.now);
  }

  /** `"too many"`: the client used up what it may say, and was not answered. */
  take(data: string | ArrayBuffer): "taken" | "too many" {
    const message = read(data, this.#deps.watchedUsersMax);
    const isBad = typeof message === "string";
    const cost = isBad ? BAD_MESSAGE_COST : 1;
    if (this.#budget.take(cost) === "empty") return "too many";
    if (isBad) this.#complain("bad_message", message);
    else if (message.type === "watch") this.#watch(message);
    else void this.#refresh(message.token);
    return "taken";
  }

  #watch({ userIds, ref }: Extract<Said, { type: "watch" }>): void {
    const { fanout, watchedUsersMax } = this.#deps;
    const still = "what you watched before is still watched";
    if (userIds !== "*" && userIds.length > watchedUsersMax) {
      const message =
        `expected at most ${watchedUsersMax} user ids, got ${userIds.length}; ${still}`;
      return this.#complain("watch_too_large", message, ref);
    }
    const ids = userIds === "*" ? userIds : new Set(userIds as UserId[]);
    if (fanout.watch(this.#connection, ids, { ref }) === "full") {
      const message = `this node watches as many users as it can; ${still}`;
      this.#complain("overloaded", message, ref);
    }
  }

  async #refresh(token: string): Promise<void> {
    const { verify, endOf, log } = this.#deps;
    try {
      const verdict = await verify(token);
      if (verdict.ok && verdict.userId === this.#connection.userId) {
        this.#connection.extend(endOf(verdict.exp), verdict.tokenId);
      } else {
        this.#budget.owe(BAD_MESSAGE_COST - 1);
        const other = "expected a token of the same user";
        this.#complain("bad_token", verdict.ok ? other : verdict.why.reason);
      }
    } catch (err) {
      logUnverified(log, err);
      this.#complain("bad_token", "tokens cannot be verified now, try again");
    }
  }

  #complain(code: ErrorCode, message: string, ref?: number): void {
    const text = encodeError(code, message, ref);
    this.#deps.fanout.sendControl(this.#connection, text);
  }
}

/** What one client may say. */
export function messageBudget(now: () => number): TokenBucket {
  const rate = CLIENT_MESSAGES_PER_SECOND_MAX;
  return new TokenBucket(CLIENT_MESSAGES_MAX, rate, now);
}

/** The message, or what is wrong with it. A list that is too long is not looked into. */
function read(
  data: string | ArrayBuffer,
  watchedUsersMax: number,
): Said | string {
  if (typeof data !== "string") return "expected text, got bytes";
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return "expected JSON";
  }
  const { data: message, error } = clientMessage.safeParse(value);
  if (error !== undefined) {
    const [issue] = error.issues;
    const field = issue?.path.join(".") ?? "";
    const got = field === "token" ? "" : `, got ${shown(value, field)}`;
    return `${field === "" ? "message" : field}: ${issue?.message}${got}`;
  }
  if (message.type === "refresh" || message.userIds === "*") return message;
  if (message.userIds.length > watchedUsersMax) return message;
  const bad = message.userIds.findIndex((id) => !isUserId(id));
  return bad < 0
    ? message
    : `userIds.${bad}: expected a user id from 1 to ${USER_ID_MAX}, got ${
      shown(message.userIds, String(bad))
    }`;
}

/** Enough of a field, or of a whole message, to recognise it. */
function shown(value: unknown, field: string): string {
  const given = field === "" || Object(value) !== value
    ? value
    : (value as Record<string, unknown>)[field];
  const text = JSON.stringify(given) ?? "nothing";
  return text.length <= 40 ? text : `${text.slice(0, 40)}...`;
}

function isUserId(value: unknown): value is UserId {
  return typeof value === "number" && parseUserId(value) !== undefined;
}
