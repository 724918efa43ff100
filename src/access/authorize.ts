/**
 * Whom a socket's token lets in.
 *
 * This is decided while the socket is open already, so an answer is a close code. It has a
 * bound: the token's issuer and the database may both be slow.
 *
 * @module
 */
import type { Slot } from "./admission.ts";
import type { Verdict } from "./token/verifier.ts";
import type { Feed } from "../core/feed/feed.ts";
import { AUTHORIZATION_MS } from "./limits.ts";
import { DISCONNECT, type Disconnect } from "../protocol/disconnect.ts";
import type { UserId } from "../protocol/user_id.ts";
import type { Provision } from "./provision.ts";
import { messageOf } from "../base/message_of.ts";
import type { Roster } from "../core/roster/roster.ts";
import type { Provisioned } from "../core/store/store.ts";
import { verified, type VerifyDeps } from "./verify.ts";

/** Who comes in, or how the socket is closed. */
export type Authorization =
  | {
    readonly userId: UserId;
    /** When the token ends, in seconds since 1970. */
    readonly exp: number;
    readonly tokenId: string | undefined;
  }
  | {
    readonly disconnect: Disconnect;
    /** Whose token it was, if it was good. */
    readonly userId?: UserId;
  };

export interface EntranceDeps extends VerifyDeps {
  readonly roster: Roster;
  readonly feed: Pick<Feed, "catchUp">;
  /** Makes the user's row, where that is wanted. */
  readonly provision: Provision | undefined;
  readonly isRevoked: (tokenId: string | undefined) => boolean;
}

/** Of a request for a socket. */
interface Wanted {
  readonly token: string | undefined;
  readonly requestId: string;
  /** The last `seq` that the client was told. */
  readonly since: number | undefined;
}

/** Never rejects. Who is refused is in the log. */
export async function authorize(
  deps: EntranceDeps,
  wanted: Wanted,
  address: string,
  slot: Slot,
): Promise<Authorization> {
  const authorization = await decideInTime(deps, wanted, address, slot);
  if ("disconnect" in authorization) {
    const { requestId } = wanted;
    const { userId, disconnect: { code, reason } } = authorization;
    const about = { requestId, address, userId, code, reason };
    deps.log.info(about, "socket refused");
  }
  return authorization;
}

function decideInTime(
  deps: EntranceDeps,
  wanted: Wanted,
  address: string,
  slot: Slot,
): Promise<Authorization> {
  return new Promise((resolve) => {
    const giveUp = (err: unknown) => {
      const { requestId } = wanted;
      const reason = messageOf(err);
      deps.log.warn({ requestId, reason }, "cannot decide on a socket");
      resolve({ disconnect: DISCONNECT.authenticationTimedOut });
    };
    const timer = setTimeout(
      () => giveUp(new Error(`it took longer than ${AUTHORIZATION_MS} ms`)),
      AUTHORIZATION_MS,
    );
    decide(deps, wanted, address, slot).then(resolve, giveUp)
      .finally(() => clearTimeout(timer));
  });
}

async function decide(
  deps: EntranceDeps,
  wanted: Wanted,
  address: string,
  slot: Slot,
): Promise<Authorization> {
  const { roster, feed, provision, isRevoked } = deps;
  const { since = 0 } = wanted;
  const verdict = await verified(deps, wanted, address);
  if (verdict === "unavailable") {
    return { disconnect: DISCONNECT.verificationUnavailable };
  }
  if (!verdict.ok) return { disconnect: verdict.why };
  const { userId, exp, tokenId } = verdict;
  if (slot.assignUser(userId) === "full") {
    return { disconnect: DISCONNECT.tooManyConnections, userId };
  }
  // Another node may have told a client more than has reached this one; it must not go back in
  // time. A `seq` that the log does not reach either is of another history.
  if (since > roster.seq && await feed.catchUp() === "failed") {
    return { disconnect: DISCONNECT.nodeBehindClient };
  }
  if (provision !== undefined) {
    const outcome = await provisions(deps, provision, verdict);
    if (outcome === "failed") {
      return { disconnect: DISCONNECT.userCreationFailed };
    }
    if (outcome === "refused") {
      return { disconnect: DISCONNECT.userNotCreatable, userId };
    }
  }
  if (isRevoked(tokenId)) {
    return { disconnect: DISCONNECT.tokenRevoked, userId };
  }
  return { userId, exp, tokenId };
}

async function provisions(
  { log }: EntranceDeps,
  provision: Provision,
  { userId, username }: Extract<Verdict, { ok: true }>,
): Promise<Provisioned | "failed"> {
  try {
    return await provision(userId, username);
  } catch (err) {
    log.warn({ userId, reason: messageOf(err) }, "cannot write a user");
    return "failed";
  }
}
