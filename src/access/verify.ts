/**
 * Verification of a client's token: the verdict of `token/`, with failures counted against the
 * client's address and errors logged.
 *
 * It does not know what the client asks for.
 *
 * @module
 */
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import type { Admission, Refusal } from "./admission.ts";
import { KeySetUnavailable, KeyUnknown } from "./token/key_set.ts";
import type { Verdict, Verify, VerifyCached } from "./token/verifier.ts";

export interface VerifyDeps {
  readonly verify: Verify;
  readonly admission: Pick<Admission, "recordFailure">;
  readonly log: Log;
}

export interface VerifyWithinBudgetDeps extends VerifyDeps, VerifyCached {
  readonly admission: Pick<
    Admission,
    "recordFailure" | "payVerification" | "refundVerification"
  >;
}

interface Wanted {
  readonly token: string | undefined;
  /** Of the request with the token. `undefined`: the token came in a message. */
  readonly requestId?: string;
}

/**
 * Verifies the token of a socket that has a slot, or was admitted otherwise.
 *
 * A bad token counts against the address. An unavailable key set does not, because the token may
 * be good; but a key that is in no key set does, because a client can name any. Never rejects.
 *
 * @returns `"unavailable"` if the token cannot be verified now.
 */
export async function verifyToken(
  { verify, admission, log }: VerifyDeps,
  { token, requestId }: Wanted,
  address: string,
): Promise<Verdict | "unavailable"> {
  try {
    const verdict = await verify(token);
    if (!verdict.ok) admission.recordFailure(address);
    return verdict;
  } catch (err) {
    if (err instanceof KeyUnknown) admission.recordFailure(address);
    logVerificationError(log, err, requestId);
    return "unavailable";
  }
}

/**
 * The same for a token without a slot: it is refused if it is new to the node and its address got
 * too much wrong.
 */
export async function verifyWithinBudget(
  deps: VerifyWithinBudgetDeps,
  wanted: Wanted,
  address: string,
): Promise<Verdict | "unavailable" | Refusal> {
  const { known, admission } = deps;
  const cached = known(wanted.token);
  if (cached !== undefined) return cached;
  const refusal = admission.payVerification(address);
  if (refusal !== undefined) return refusal;
  const verdict = await verifyToken(deps, wanted, address);
  const isGood = verdict !== "unavailable" && verdict.ok;
  if (isGood) admission.refundVerification(address);
  return verdict;
}

/**
 * Logs why a token could not be verified. An unavailable key set is expected, so it needs no stack.
 */
export function logVerificationError(
  log: Log,
  err: unknown,
  requestId?: string,
): void {
  const event = "cannot verify tokens";
  if (err instanceof KeySetUnavailable) {
    log.warn({ requestId, reason: messageOf(err) }, event);
  } else log.error({ requestId, err }, event);
}
