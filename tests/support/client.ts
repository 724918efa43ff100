/**
 * A client of version 1 that keeps every message.
 *
 * @module
 */
import { SignJWT } from "jose";
import {
  formatIdList,
  type UserId,
} from "../../src/client/protocol/user_id.ts";
import type { UserStatusBroadcast } from "../../src/client/protocol/messages.ts";
import { TEST_SECRET } from "./server.ts";
import { until } from "./until.ts";

export interface TestClient extends AsyncDisposable {
  readonly messages: readonly UserStatusBroadcast[];
  readonly socket: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Waits for the first message of this type and user, received before or after the call. */
  receives(
    type: UserStatusBroadcast["type"],
    userId: UserId,
  ): Promise<UserStatusBroadcast>;
  close(): Promise<void>;
}

/** A token that a test server with `TEST_SECRET` accepts. */
export function tokenFor(
  userId: UserId,
  ttlSeconds = 3_600,
  claims: Record<string, unknown> = {},
): Promise<string> {
  const exp = Math.floor(Date.now() / 1_000) + ttlSeconds;
  return new SignJWT({ sub: String(userId), exp, ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(TEST_SECRET));
}

export function socketUrl(serverUrl: string, token?: string): string {
  const url = new URL("ws", serverUrl.replace(/^http/, "ws"));
  if (token !== undefined) url.searchParams.set("token", token);
  return url.href;
}

/**
 * Opens a socket for a user. The server may still be verifying the token, but the client receives
 * every transition from here on.
 */
export async function open(
  serverUrl: string,
  userId: UserId,
): Promise<TestClient> {
  return await connectWith(
    new WebSocket(socketUrl(serverUrl, await tokenFor(userId))),
  );
}

/**
 * Connects a user, and resolves when the server lists the user or has closed the socket.
 *
 * For a further connection of the same user the list proves nothing, because it named the user
 * before: see `v1Connected`.
 */
export async function connect(
  serverUrl: string,
  userId: UserId,
): Promise<TestClient> {
  const client = await open(serverUrl, userId);
  const url = `${serverUrl}users/online?ids=${formatIdList([userId])}`;
  const headers = { authorization: `Bearer ${await tokenFor(userId)}` };
  try {
    await until(`${userId} is listed`, async () => {
      if (client.socket.readyState === WebSocket.CLOSED) return true;
      const { online_users } = await (await fetch(url, { headers })).json();
      return online_users?.length === 1;
    });
  } catch (err) {
    await client.close();
    throw err;
  }
  return client;
}

/** Resolves when the socket is open. */
export async function connectWith(socket: WebSocket): Promise<TestClient> {
  const messages: UserStatusBroadcast[] = [];
  socket.onmessage = ({ data }) => messages.push(JSON.parse(data));
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.onclose = ({ code, reason }) => resolve({ code, reason });
  });
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = (event) =>
      reject(new Error(`cannot connect: ${(event as ErrorEvent).message}`));
  });
  socket.onerror = () => {};
  const close = async () => {
    if (socket.readyState === WebSocket.OPEN) socket.close(1000);
    await closed;
  };
  return {
    messages,
    socket,
    closed,
    receives: (type, userId) =>
      until(
        `${type} of ${userId} is received`,
        () =>
          messages.find((message) =>
            message.type === type && message.userId === userId
          ),
      ),
    close,
    [Symbol.asyncDispose]: close,
  };
}
