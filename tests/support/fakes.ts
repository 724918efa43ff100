/**
 * Stand-ins for unit tests of the core.
 *
 * @module
 */
import type { Log } from "../../src/base/log.ts";
import {
  Connection,
  type ConnectionStart,
  type Socket,
} from "../../src/core/connections/connection.ts";
import type { Verify } from "../../src/access/token/verifier.ts";
import type { VerifyWithinBudgetDeps } from "../../src/access/verify.ts";
import type { Applied, Notifications } from "../../src/core/store/store.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { TokenRefreshDeps } from "../../src/socket/token_refresh.ts";

/** A socket whose peer reads or does not read, as the test says. */
export class FakeSocket implements Socket {
  isOpen = true;
  bufferedAmount = 0;
  readonly sent: string[] = [];
  readonly closes: string[] = [];
  /** Whether the peer reads every message at once. If not, messages stay buffered. */
  reading = true;
  /** `send` throws this error if it is set. */
  failure: Error | undefined;
  /** Called before each message. */
  onSend: () => void = () => {};

  send(message: string): void {
    if (this.failure !== undefined) throw this.failure;
    this.onSend();
    this.sent.push(message);
    if (!this.reading) this.bufferedAmount += message.length;
  }

  close(code: number, reason: string): void {
    this.closes.push(`${code} ${reason}`);
  }
}

/** A connection over a fake socket. Its user is not claimed yet. */
export function joiningConnection(userId: UserId): {
  connection: Connection;
  socket: FakeSocket;
} {
  const socket = new FakeSocket();
  const start = { version: 1, endsAt: Infinity, receivedAt: 0 } as const;
  return { connection: new Connection(userId, socket, start), socket };
}

/** A live connection over a fake socket. */
export function liveConnection(
  userId: UserId,
  { version = 1, endsAt = Infinity, tokenId }: Partial<ConnectionStart> = {},
): {
  connection: Connection;
  socket: FakeSocket;
} {
  const socket = new FakeSocket();
  const connection = new Connection(userId, socket, {
    ...{ version, endsAt, tokenId, receivedAt: 0 },
  });
  connection.confirm();
  return { connection, socket };
}

/** Verifies as `verify` does, without a cache and without a budget for any address. */
export function unlimited(
  verify: Verify,
): Omit<VerifyWithinBudgetDeps, "log"> {
  const admission = {
    recordFailure: () => {},
    payVerification: () => undefined,
    refundVerification: () => {},
  };
  return { verify, known: () => undefined, admission };
}

/** What the messages of a client need for a token that has no groups, and was not revoked. */
export const WITHOUT_GROUPS: Pick<
  TokenRefreshDeps,
  "groupWriter" | "isRevoked" | "reread"
> = {
  groupWriter: { write: () => Promise.resolve("written") },
  isRevoked: () => false,
  reread: () => {},
};

/** A log that keeps its events. */
export function rememberingLog(): Log & { readonly events: string[] } {
  const events: string[] = [];
  const remember = (level: string) => (_fields: unknown, event: string) =>
    void events.push(`${level}: ${event}`);
  return {
    events,
    debug: remember("debug"),
    info: remember("info"),
    warn: remember("warn"),
    error: remember("error"),
  };
}

/** A subscriber that ignores every notification. */
export const IGNORING: Notifications = {
  onHead: () => {},
  onRenamed: () => {},
  onRevoked: () => {},
  onGroupsChanged: () => {},
};

/** The result of a write that changed nothing. */
export const NOTHING_APPLIED: Applied = {
  ...{ transitions: [], unknown: [], deferred: [] },
  ...{ ungrouped: [], overgrouped: [] },
};
