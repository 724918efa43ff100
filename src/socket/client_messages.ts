/**
 * Client messages are what a version 2 client sends: `watch`, `refresh` and `ping`.
 *
 * Each message is validated and passed to the fan-out or the verifier. An invalid message is
 * answered with an error that names the field, the value and what is expected, and it costs more of
 * the client's rate limit. Which users a client receives is not decided here.
 *
 * @module
 */
import { z } from "zod";
import type { Data } from "./engine.ts";
import { cutText } from "../base/cut_text.ts";
import {
  CLIENT_MESSAGES_MAX,
  CLIENT_MESSAGES_PER_SECOND_MAX,
  EXCERPT_LENGTH_MAX,
} from "../base/limits.ts";
import { TokenBucket } from "../base/token_bucket.ts";
import type { Connection } from "../core/connections/connection.ts";
import type { Fanout } from "../core/fanout/fanout.ts";
import { DISCONNECT } from "../client/protocol/disconnect.ts";
import { encodeError, type ErrorCode } from "../client/protocol/messages.ts";
import type { UserId, UserIds } from "../client/protocol/user_id.ts";
import { BAD_MESSAGE_COST } from "./limits.ts";
import { TokenRefresh, type TokenRefreshDeps } from "./token_refresh.ts";

export interface ClientMessagesDeps extends TokenRefreshDeps {
  readonly fanout: Pick<Fanout, "sendControl" | "watch" | "keepAlive">;
  readonly watchedUsersMax: number;
  readonly ids: UserIds;
}

/**
 * The elements are validated later, and only up to the first bad one: zod would list all of them.
 */
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
  z.object({ type: z.literal("ping") }),
], { error: 'expected "watch", "refresh" or "ping"' });

type ParsedMessage = z.infer<typeof clientMessage>;

/** A message that cannot be handled. */
interface BadMessage {
  readonly type: "bad";
  /** What is wrong with it, for the client. */
  readonly why: string;
  /** Of a watch, if that at least can be read: the client then knows that this watch is refused. */
  readonly ref: number | undefined;
}

const PREVIOUS_WATCH = "the previous watch stays in effect";

/** Handles the messages of one connection. */
export class ClientMessages {
  readonly #deps: ClientMessagesDeps;
  readonly #connection: Connection;
  readonly #budget: TokenBucket;
  readonly #address: string;
  /** From the first token on. */
  #tokens: TokenRefresh | undefined;

  /** @param address The client's address. */
  constructor(
    deps: ClientMessagesDeps,
    connection: Connection,
    address: string,
  ) {
    this.#deps = deps;
    this.#connection = connection;
    this.#address = address;
    this.#budget = messageBudget(deps.now);
  }

  /** `"too many"`: the client exceeded its rate limit, and the message was ignored. */
  receive(data: Data): "received" | "too many" {
    const message = parse(data, this.#deps);
    const cost = message.type === "bad" ? BAD_MESSAGE_COST : 1;
    if (this.#budget.take(cost) === "empty") return "too many";
    if (message.type === "bad") {
      this.#sendError("bad_message", message.why, message.ref);
    } else if (message.type === "watch") this.#watch(message);
    else if (message.type === "refresh") this.#refresh(message.token);
    else this.#deps.fanout.keepAlive(this.#connection, 0);
    return "received";
  }

  #watch({ userIds, ref }: Extract<ParsedMessage, { type: "watch" }>): void {
    const { fanout, watchedUsersMax } = this.#deps;
    if (userIds !== "*" && userIds.length > watchedUsersMax) {
      const message =
        `expected at most ${watchedUsersMax} user ids, got ${userIds.length}; ${PREVIOUS_WATCH}`;
      return this.#sendError("watch_too_large", message, ref);
    }
    const ids = userIds === "*" ? userIds : new Set(userIds as UserId[]);
    if (fanout.watch(this.#connection, ids, ref) === "full") {
      const { reason } = DISCONNECT.watchLimitReached;
      this.#sendError("overloaded", `${reason}; ${PREVIOUS_WATCH}`, ref);
    }
  }

  #refresh(token: string): void {
    this.#tokens ??= new TokenRefresh(
      ...[this.#deps, this.#connection, this.#address, this.#budget] as const,
      (why) => this.#sendError("bad_token", why),
    );
    void this.#tokens.receive(token);
  }

  #sendError(code: ErrorCode, message: string, ref?: number): void {
    const text = encodeError(code, message, ref);
    this.#deps.fanout.sendControl(this.#connection, text);
  }
}

/** The rate limit of one client's messages. */
export function messageBudget(now: () => number): TokenBucket {
  const rate = CLIENT_MESSAGES_PER_SECOND_MAX;
  return new TokenBucket(CLIENT_MESSAGES_MAX, rate, now);
}

/**
 * The message, or what is wrong with it. The ids of a list that is too long are not validated,
 * because the list is refused anyway.
 */
function parse(
  data: Data,
  { watchedUsersMax, ids }: Pick<ClientMessagesDeps, "watchedUsersMax" | "ids">,
): ParsedMessage | BadMessage {
  if (typeof data !== "string") return bad("expected text, got bytes");
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return bad("expected JSON");
  }
  const { data: message, error } = clientMessage.safeParse(value);
  if (error !== undefined) {
    const [issue] = error.issues;
    const field = issue?.path.join(".") ?? "";
    const got = field === "token" ? "" : `, got ${excerpt(value, field)}`;
    return bad(
      `${field === "" ? "message" : field}: ${issue?.message}${got}`,
      refOf(value),
    );
  }
  if (message.type !== "watch" || message.userIds === "*") return message;
  if (message.userIds.length > watchedUsersMax) return message;
  const userIds = message.userIds.map((id) => ids.parseJson(id));
  const wrong = userIds.indexOf(undefined);
  if (wrong < 0) return { ...message, userIds };
  const got = excerpt(message.userIds, String(wrong));
  return bad(
    `userIds.${wrong}: expected ${ids.expected}, got ${got}`,
    message.ref,
  );
}

function bad(why: string, ref?: number): BadMessage {
  return { type: "bad", why, ref };
}

/** The `ref` of a watch whose other fields may be wrong. */
function refOf(value: unknown): number | undefined {
  const { type, ref } = Object(value) as { type?: unknown; ref?: unknown };
  return type === "watch" && Number.isSafeInteger(ref)
    ? ref as number
    : undefined;
}

/** The first characters of a field's value, or of the whole message if `field` is `""`. */
function excerpt(value: unknown, field: string): string {
  const given = field === "" || Object(value) !== value
    ? value
    : (value as Record<string, unknown>)[field];
  const text = JSON.stringify(given) ?? "nothing";
  const shown = cutText(text, EXCERPT_LENGTH_MAX);
  return shown === text ? text : `${shown}...`;
}
