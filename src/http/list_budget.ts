/**
 * The list budget: how many bytes of lists a user and a client address may read.
 *
 * A list is much larger than the request for it. A budget is spent when it is empty, and not when
 * the next list would be larger than what is left: a list of any size is read now and then. What a
 * client already has (304) costs nothing.
 *
 * @module
 */
import type { Refusal } from "../access/admission.ts";
import { ADDRESSES_MAX } from "../access/limits.ts";
import { TokenBuckets } from "../base/token_buckets.ts";
import type { UserId } from "../client/protocol/user_id.ts";
import {
  LIST_ADDRESS_BUDGETS,
  LIST_BURST_SECONDS,
  LIST_USERS_MAX,
} from "./limits.ts";

export class ListBudget {
  readonly #byUser: TokenBuckets<UserId>;
  readonly #byAddress: TokenBuckets<string>;
  readonly #random: () => number;

  /**
   * @param bytesPerSecond Of a user in the long run.
   * @param now Milliseconds.
   */
  constructor(
    bytesPerSecond: number,
    now = () => performance.now(),
    random = Math.random,
  ) {
    const buckets = <Key>(perSecond: number, keysMax: number) =>
      new TokenBuckets<Key>(
        ...[perSecond * LIST_BURST_SECONDS, perSecond, keysMax, now] as const,
      );
    this.#byUser = buckets(bytesPerSecond, LIST_USERS_MAX);
    this.#byAddress = buckets(
      bytesPerSecond * LIST_ADDRESS_BUDGETS,
      ADDRESSES_MAX,
    );
    this.#random = random;
  }

  /**
   * Takes the bytes of a list, or refuses it.
   *
   * @param userId `undefined`: the list is public.
   */
  take(
    bytes: number,
    address: string,
    userId: UserId | undefined,
  ): Refusal | undefined {
    const userMs = userId === undefined ? 0 : this.#byUser.waitMs(userId);
    const ms = Math.max(userMs, this.#byAddress.waitMs(address));
    if (ms > 0) return this.#refuse(ms, userMs > 0 ? "user" : "address");
    if (userId !== undefined) this.#byUser.owe(userId, bytes);
    this.#byAddress.owe(address, bytes);
    return undefined;
  }

  #refuse(ms: number, whose: "user" | "address"): Refusal {
    return {
      ...{ status: 429, code: "too_many_bytes" },
      message:
        `too many bytes of lists for this ${whose}: send If-None-Match, or name users in ids`,
      retryAfterSeconds: Math.ceil(ms / 1_000 * (1 + this.#random())),
    };
  }
}
