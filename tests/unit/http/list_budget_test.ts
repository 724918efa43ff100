import { deepEqual, equal, match } from "node:assert/strict";
import {
  LIST_ADDRESS_BUDGETS,
  LIST_BURST_SECONDS,
} from "../../../src/http/limits.ts";
import { ListBudget } from "../../../src/http/list_budget.ts";

const RATE = 1_000;
const BURST = RATE * LIST_BURST_SECONDS;

function createBudget() {
  const time = { now: 0 };
  const budget = new ListBudget(RATE, () => time.now, () => 0);
  /** The seconds after which to retry, or `"taken"`. */
  const take = (bytes: number, address: string, userId?: number) =>
    budget.take(bytes, address, userId)?.retryAfterSeconds ?? "taken";
  return { budget, take, time };
}

Deno.test("[L1] each user has a budget of bytes, on all addresses together", () => {
  const { budget, take, time } = createBudget();
  equal(take(BURST - 1, "a", 1), "taken");
  // A list may be larger than what is left.
  equal(take(5 * RATE, "b", 1), "taken");
  match(budget.take(1, "c", 1)?.message ?? "", /for this user/);
  equal(take(1, "a", 2), "taken");
  equal(take(1, "c", 1), 5);
  time.now += 4_999;
  equal(take(1, "c", 1), 1);
  time.now += 1;
  equal(take(1, "c", 1), "taken");
});

Deno.test("[L1] each address has a budget of bytes, for all its users together and for a public list", () => {
  const { budget, take } = createBudget();
  for (let userId = 1; userId <= LIST_ADDRESS_BUDGETS; userId++) {
    equal(take(BURST, "a", userId), "taken");
  }
  equal(take(1, "a", 100), 1);
  match(budget.take(1, "a", 100)?.message ?? "", /for this address/);
  equal(take(1, "b", 100), "taken");
  equal(take(LIST_ADDRESS_BUDGETS * BURST, "c"), "taken");
  equal(take(1, "c"), 1);
});

Deno.test("a refused list is not charged", () => {
  const { take, time } = createBudget();
  equal(take(BURST, "a", 1), "taken");
  const tries = Array.from({ length: 100 }, () => take(BURST, "a", 1));
  deepEqual(new Set(tries), new Set([1]));
  time.now += 1;
  equal(take(1, "a", 1), "taken");
});
