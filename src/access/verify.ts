/**
 * A token's verdict, or that there is none now.
 *
 * @module
 */
import type { Admission } from "./admission.ts";
import type { Verdict, Verify } from "./token/verifier.ts";
import { KeySetFault } from "./token/key_set.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";

export interface VerifyDeps {
  readonly verify: Verify;
  readonly admission: Pick<Admission, "failed">;
  readonly log: Log;
}

/** A bad token counts against its address; a key set that cannot be had does not. */
export async function verified(
  { verify, admission, log }: VerifyDeps,
  { token, requestId }: {
    readonly token: string | undefined;
    readonly requestId: string;
  },
  address: string,
): Promise<Verdict | "unavailable"> {
  try {
    const verdict = await verify(token);
    if (!verdict.ok) admission.failed(address);
    return verdict;
  } catch (err) {
    logUnverified(log, err, requestId);
    return "unavailable";
  }
}

/** An issuer that is away, or asked a moment ago, is no fault of ours. */
export function logUnverified(
  log: Log,
  err: unknown,
  requestId?: string,
): void {
  const event = "cannot verify tokens";
  if (err instanceof KeySetFault) {
    log.warn({ requestId, reason: messageOf(err) }, event);
  } else log.error({ requestId, err }, event);
}
