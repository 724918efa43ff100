/**
 * What version 2 clients say, read and answered for.
 *
 * A message that cannot be understood gets an error that names what is wrong with it, and
 * costs more than others of what a client may say. Nothing here decides who hears what.
 *
 * @module
 */
import { z } from "zod";
import type { Verify } from "../auth.ts";
import type { Connection } from "../connection.ts";
import type { Fanout } from "../fanout.ts";
import {
  BAD_MESSAGE_COST,
  CLIENT_MESSAGES_MAX,
  CLIENT_MESSAGES_PER_SECOND_MAX,
} from "../limits.ts";
import type { Log } from "../log.ts";
import { type ErrorCode, USER_ID_MAX } from "../protocol.ts";
import { encodeError } from "../sync_texts.ts";

export interface MessageParts {
  readonly verify: Verify;
  readonly fanout: Pick<Fanout, "say" | "watch">;
  readonly log: Log;
  readonly watchedUsersMax: number;
  /** When a token ends, by the clock of the core. */
  readonly endOf: (exp: number) => number;
  readonly now: () => number;
}

const userId = z.int("expected user ids").min(1, "expected user ids")
  .max(USER_ID_MAX, `expected user ids up to ${USER_ID_MAX}`);

const clientMessage = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("watch"),
    userIds: z.union([z.literal("*"), z.array(userId)], {
      error: 'expected a list of user ids, or "*"',
    }),
    ref: z.int("expected a whole number").optional(),
  }),
  z.object({
    type: z.literal("refresh"),
    token: z.string("expected a token").min(1, "expected a token"),
  }),
], { error: 'expected "watch" or "refresh"' });

/** A `ClientMessage`; zod allows a missing field to be there without a value. */
type Said = z.infer<typeof clientMessage>;

/** Reads the messages of one connection. */
export class ClientMessages {
  readonly #parts: MessageParts;
  readonly #connection: Connection;
  #credit = CLIENT_MESSAGES_MAX;
  #creditedAt: number;

  constructor(parts: MessageParts, connection: Connection) {
    this.#parts = parts;
    this.#connection = connection;
    this.#creditedAt = parts.now();
  }

  /** `"too many"`: the client used up what it may say, and was not answered. */
  take(data: string | ArrayBuffer): "taken" | "too many" {
    const message = read(data);
    const isBad = typeof message === "string";
    if (!this.#pay(isBad ? BAD_MESSAGE_COST : 1)) return "too many";
    if (isBad) this.#complain("bad_message", message);
    else if (message.type === "watch") this.#watch(message);
    else void this.#refresh(message.token);
    return "taken";
  }

  #watch({ userIds, ref }: Extract<Said, { type: "watch" }>): void {
    const { fanout, watchedUsersMax } = this.#parts;
    const ids = userIds === "*" ? userIds : new Set(userIds);
    const still = "what you watched before is still watched";
    if (ids !== "*" && ids.size > watchedUsersMax) {
      const message =
        `expected at most ${watchedUsersMax} user ids, got ${ids.size}; ${still}`;
      this.#complain("watch_too_large", message, ref);
    } else if (fanout.watch(this.#connection, ids, { ref }) === "full") {
      const message = `this node watches as many users as it can; ${still}`;
      this.#complain("overloaded", message, ref);
    }
  }

  async #refresh(token: string): Promise<void> {
    const { verify, endOf, log } = this.#parts;
    try {
      const verdict = await verify(token);
      if (!verdict.ok) this.#complain("bad_token", verdict.reason);
      else if (verdict.userId !== this.#connection.userId) {
        const message = "expected a token of the same user";
        this.#complain("bad_token", message);
      } else {
        this.#connection.extend(endOf(verdict.exp), verdict.tokenId);
      }
    } catch (err) {
      log.error({ err }, "cannot verify tokens");
      this.#complain("bad_token", "tokens cannot be verified now, try again");
    }
  }

  #complain(code: ErrorCode, message: string, ref?: number): void {
    const text = encodeError(code, message, ref);
    this.#parts.fanout.say(this.#connection, text);
  }

  #pay(cost: number): boolean {
    const now = this.#parts.now();
    const earned = (now - this.#creditedAt) / 1_000 *
      CLIENT_MESSAGES_PER_SECOND_MAX;
    this.#credit = Math.min(CLIENT_MESSAGES_MAX, this.#credit + earned) - cost;
    this.#creditedAt = now;
    return this.#credit >= 0;
  }
}

/** The message, or what is wrong with it. */
function read(data: string | ArrayBuffer): Said | string {
  if (typeof data !== "string") return "expected text, got bytes";
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return "expected JSON";
  }
  const result = clientMessage.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = issue?.path.join(".") ?? "";
  return `${field === "" ? "message" : field}: ${issue?.message}`;
}
