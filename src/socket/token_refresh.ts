/**
 * The token refresh of one connection verifies the tokens that its client sends, one at a time.
 *
 * A token that arrives meanwhile waits, and replaces one that waits already, because the last one is
 * the one that the client wants. Each token costs as much as an invalid message until it has turned
 * out to be good, and a bad one counts against the client's address.
 *
 * The groups of a good token are written before the token counts, and then the groups of its user
 * are read again. A token that is older than the newest one of the user changes no groups.
 *
 * @module
 */
import type { GroupWriter } from "../access/group_writer.ts";
import {
  verifyWithinBudget,
  type VerifyWithinBudgetDeps,
} from "../access/verify.ts";
import type { TokenBucket } from "../base/token_bucket.ts";
import type { Connection } from "../core/connections/connection.ts";
import { DISCONNECT } from "../client/protocol/disconnect.ts";
import type { UserId } from "../client/protocol/user_id.ts";
import { BAD_MESSAGE_COST } from "./limits.ts";

export interface TokenRefreshDeps extends VerifyWithinBudgetDeps {
  readonly groupWriter: Pick<GroupWriter, "write">;
  readonly isRevoked: (tokenId: string | undefined) => boolean;
  /** The groups of a user who is connected here may have changed. */
  readonly reread: (userId: UserId) => void;
  /** When a token with this `exp` expires, in milliseconds of the core's clock. */
  readonly endOf: (exp: number) => number;
  readonly now: () => number;
}

export class TokenRefresh {
  readonly #deps: TokenRefreshDeps;
  readonly #connection: Connection;
  readonly #address: string;
  readonly #budget: TokenBucket;
  readonly #onRefused: (why: string) => void;
  /** The token that is verified next. */
  #waiting: string | undefined;
  #isVerifying = false;

  /**
   * @param address The client's address.
   * @param budget The rate limit of the client's messages. Each message has paid for itself.
   */
  constructor(
    deps: TokenRefreshDeps,
    connection: Connection,
    address: string,
    budget: TokenBucket,
    onRefused: (why: string) => void,
  ) {
    this.#deps = deps;
    this.#connection = connection;
    this.#address = address;
    this.#budget = budget;
    this.#onRefused = onRefused;
  }

  /** Never rejects. */
  async receive(token: string): Promise<void> {
    this.#waiting = token;
    if (this.#isVerifying) return;
    this.#isVerifying = true;
    while (this.#waiting !== undefined && isOpen(this.#connection)) {
      const next = this.#waiting;
      this.#waiting = undefined;
      this.#budget.owe(BAD_MESSAGE_COST - 1);
      const why = await this.#refresh(next);
      if (why === undefined) this.#budget.give(BAD_MESSAGE_COST - 1);
      else this.#onRefused(why);
    }
    this.#isVerifying = false;
  }

  /** Returns why the token is refused, if it is. */
  async #refresh(token: string): Promise<string | undefined> {
    const { endOf, now, groupWriter, isRevoked, reread } = this.#deps;
    const address = this.#address;
    const verdict = await verifyWithinBudget(this.#deps, { token }, address);
    if (verdict === "unavailable") {
      return DISCONNECT.verificationUnavailable.reason;
    }
    if ("status" in verdict) {
      return `${verdict.message}, try again in ${verdict.retryAfterSeconds} s`;
    }
    if (!verdict.ok) return verdict.why.reason;
    const { userId, exp, tokenId } = verdict;
    if (userId !== this.#connection.userId) {
      return "expected a token of the same user";
    }
    if (await groupWriter.write(verdict) === "failed") {
      return DISCONNECT.groupsUnavailable.reason;
    }
    // The token may have been revoked meanwhile, when this connection did not have it yet.
    if (isRevoked(tokenId)) return DISCONNECT.tokenRevoked.reason;
    this.#connection.extend({ endsAt: endOf(exp), receivedAt: now(), tokenId });
    reread(userId);
    return undefined;
  }
}

function isOpen({ state }: Connection): boolean {
  return state === "joining" || state === "live";
}
