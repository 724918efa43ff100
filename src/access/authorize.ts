/**
 * Authorization decides whether an open socket becomes a connection of a user. This is the door of
 * `access/`.
 *
 * ## The parts
 *
 * - `client_address.ts` reads the client's address, also behind proxies.
 * - `admission.ts` gives a request a slot (`slot.ts`) before anything is spent on it. It limits
 *   sockets for the node, the address and the user, and new sockets a second for the node and the
 *   address.
 * - `failure_budgets.ts` has a budget for each address, from which bad tokens, malformed handshakes
 *   and lost sockets are paid. Where it is spent, admission refuses tokens that are new to the node.
 * - `token/` verifies the token, and `verify.ts` counts a bad one against the client's address.
 * - `provision.ts` writes the user's row, if the operator wants that.
 * - `group_writer.ts` writes the groups of the token, if tokens have some.
 * - `authorize.ts`, this file, calls them in order when the socket is open.
 * - `unknown_users.ts` decides what follows when the store does not know the user.
 * - `eviction.ts` closes connections whose token expired, and `revocations.ts` those that an
 *   administrator revoked.
 *
 * ## The order
 *
 * 1. The token is verified.
 * 2. The slot is assigned to the user. The user may have too many sockets.
 * 3. A client that resumes from a `seq` that this node has not read makes the node read the feed.
 * 4. The user's row is written, and then the groups of the token.
 * 5. The token is checked once more against the revocations.
 *
 * Whether the user exists is not decided here: the store answers that when presence claims the
 * user, and an unknown user is disconnected then. If the row was written before, it is written once
 * more first (`rewrite` in `provision.ts`).
 *
 * ## What it costs
 *
 * A token that was verified in the last minutes costs a digest and a lookup, another one a
 * signature check of up to a millisecond. Only steps 3 and 4 use the database, and most clients
 * need neither. The socket is open already, so a refusal is a close code. The issuer and the
 * database may both be slow, so the whole has a time limit (`AUTHORIZATION_MS`).
 *
 * @module
 */
import { Deadlines } from "../base/deadlines.ts";
import type { Log } from "../base/log.ts";
import type { Feed } from "../core/feed/feed.ts";
import type { Roster } from "../core/roster/roster.ts";
import { DISCONNECT, type Disconnect } from "../client/protocol/disconnect.ts";
import type { UserId } from "../client/protocol/user_id.ts";
import type { Slot } from "./slot.ts";
import { AUTHORIZATION_MS } from "./limits.ts";
import type { GroupWriter } from "./group_writer.ts";
import { disconnectUnlessWritten, type Provision } from "./provision.ts";
import { type VerifyDeps, verifyToken } from "./verify.ts";

/** The user that a connection is for. */
export interface AuthorizedUser {
  readonly userId: UserId;
  /** When the token expires, in seconds since 1970. */
  readonly exp: number;
  /** The token's `jti`, if it has one. */
  readonly tokenId: string | undefined;
}

/** The user, or how the socket is closed. */
export type Authorization =
  | AuthorizedUser
  | {
    readonly disconnect: Disconnect;
    /** The token's user, if the token was good. */
    readonly userId?: UserId;
  };

export interface AuthorizeDeps extends VerifyDeps {
  readonly roster: Roster;
  readonly feed: Pick<Feed, "catchUp">;
  /** Writes the user's row. `undefined` if the operator does not want that. */
  readonly provision: Provision | undefined;
  readonly groupWriter: Pick<GroupWriter, "write">;
  readonly isRevoked: (tokenId: string | undefined) => boolean;
  readonly deadlines: ReturnType<typeof authorizationDeadlines>;
}

/** What authorization needs of a request for a socket. */
interface Wanted {
  readonly token: string | undefined;
  readonly requestId: string;
  /** The last `seq` that the client received. */
  readonly since: number | undefined;
}

type AuthorizedSlot = Pick<Slot, "address" | "assignUser">;

/** An authorization that is under way. */
interface Undecided {
  readonly requestId: string;
  readonly resolve: (authorization: Authorization) => void;
}

/** Ends the authorizations of a node that take too long. */
export function authorizationDeadlines(log: Log): Deadlines<Undecided> {
  return new Deadlines(AUTHORIZATION_MS, ({ requestId, resolve }) => {
    log.warn({ requestId, ms: AUTHORIZATION_MS }, "authentication timed out");
    resolve({ disconnect: DISCONNECT.authenticationTimedOut });
  });
}

/** Authorizes a socket within `AUTHORIZATION_MS`, and logs a refusal. Never rejects. */
export async function authorize(
  deps: AuthorizeDeps,
  wanted: Wanted,
  slot: AuthorizedSlot,
): Promise<Authorization> {
  const { log, deadlines } = deps;
  const { requestId } = wanted;
  const { promise, resolve } = Promise.withResolvers<Authorization>();
  const undecided = { requestId, resolve };
  deadlines.begin(undecided);
  decide(deps, wanted, slot).then(resolve, (err) => {
    log.error({ requestId, err }, "authentication failed");
    resolve({ disconnect: DISCONNECT.authenticationFailed });
  });
  const authorization = await promise;
  deadlines.end(undecided);
  if ("disconnect" in authorization) {
    const { address } = slot;
    const { userId, disconnect: { code, reason } } = authorization;
    const about = { requestId, address, userId, code, reason };
    log.info(about, "socket refused");
  }
  return authorization;
}

async function decide(
  deps: AuthorizeDeps,
  wanted: Wanted,
  slot: AuthorizedSlot,
): Promise<Authorization> {
  const { roster, feed, provision, groupWriter, isRevoked } = deps;
  const { since = 0 } = wanted;
  const verdict = await verifyToken(deps, wanted, slot.address);
  if (verdict === "unavailable") {
    return { disconnect: DISCONNECT.verificationUnavailable };
  }
  if (!verdict.ok) return { disconnect: verdict.why };
  const { userId, exp, tokenId, username } = verdict;
  if (slot.assignUser(userId) === "full") {
    return { disconnect: DISCONNECT.tooManyConnections, userId };
  }
  // Another node may have sent the client changes that this node has not read. The client must not
  // go back in time. A `seq` that the feed itself does not reach is of another feed.
  if (since > roster.seq && await feed.catchUp() === "failed") {
    return { disconnect: DISCONNECT.nodeBehindClient };
  }
  if (provision !== undefined) {
    const write = () => provision(userId, username);
    const result = await disconnectUnlessWritten(userId, write, deps.log);
    if (result !== "written") return { disconnect: result, userId };
  }
  if (await groupWriter.write(verdict) === "failed") {
    return { disconnect: DISCONNECT.groupsUnavailable, userId };
  }
  // The token may have been revoked while the database was read or written.
  if (isRevoked(tokenId)) {
    return { disconnect: DISCONNECT.tokenRevoked, userId };
  }
  return { userId, exp, tokenId };
}
