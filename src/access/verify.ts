/**
 * Verification of a request's token: the verdict of `token/`, with failed tokens counted and errors
 * logged.
 *
 * It does not know what the request asks for.
 *
 * @module
 */
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import type { Admission } from "./admission.ts";
import { KeySetUnavailable } from "./token/key_set.ts";
import type { Verdict, Verify } from "./token/verifier.ts";

export interface VerifyDeps {
  readonly verify: Verify;
  readonly admission: Pick<Admission, "recordFailedToken">;
  readonly log: Log;
}

/**
 * Verifies the token of a request from a client address.
 *
 * A bad token counts against the address. An unavailable key set does not, because the token may
 * be good. Never rejects.
 *
 * @returns `"unavailable"` if the token cannot be verified now.
 */
export async function verifyToken(
  { verify, admission, log }: VerifyDeps,
  { token, requestId }: {
    readonly token: string | undefined;
    readonly requestId: string;
  },
  address: string,
): Promise<Verdict | "unavailable"> {
  try {
    const verdict = await verify(token);
    if (!verdict.ok) admission.recordFailedToken(address);
    return verdict;
  } catch (err) {
    logVerificationError(log, err, requestId);
    return "unavailable";
  }
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
