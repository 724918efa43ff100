/**
 * The connection on which a node receives notifications from Postgres.
 *
 * Behind a pooler in transaction mode, LISTEN succeeds and no notification ever arrives. So the
 * node sends one to itself before it relies on the connection.
 *
 * @module
 */
import pg from "pg";
import { within } from "../base/clock.ts";
import { DATABASE_ANSWER_MS } from "./limits.ts";
import { NOTIFICATION_ANSWER_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { clientOptions } from "./connect.ts";
import type { Subscription } from "../core/store/store.ts";

/**
 * Listens, and resolves when a notification has arrived.
 *
 * @param notify Sends a notification with this payload over another connection.
 * @param onNotification Called with the payload of each notification until the connection ends.
 * @throws {StartError} when the database cannot be reached, or the notification does not arrive.
 */
export async function listen(
  url: string | undefined,
  log: Log,
  notify: (payload: string) => Promise<void>,
  onNotification: (payload: string) => void,
): Promise<Subscription> {
  const client = new pg.Client({
    ...clientOptions(url),
    query_timeout: DATABASE_ANSWER_MS,
  });
  const ended = Promise.withResolvers<void>();
  const receivedOwn = Promise.withResolvers<void>();
  const ownPayload = crypto.randomUUID();
  client.on(
    "error",
    (err) => log.debug({ err }, "the connection for notifications broke"),
  );
  client.on("end", () => ended.resolve());
  client.on("notification", ({ payload = "" }) => {
    if (payload === ownPayload) receivedOwn.resolve();
    else onNotification(payload);
  });
  let isConnected = false;
  try {
    await client.connect();
    isConnected = true;
    await client.query("listen rollcall");
    await notify(ownPayload);
    await within(
      NOTIFICATION_ANSWER_MS,
      "the arrival of a notification",
      receivedOwn.promise,
    );
  } catch (cause) {
    client.connection.stream.destroy();
    const advice = isConnected
      ? "; expected a direct connection, which a pooler in transaction mode is not: check DATABASE_URL"
      : "";
    throw new StartError(
      `Cannot listen for notifications: ${messageOf(cause)}${advice}`,
      { cause },
    );
  }
  return {
    ended: ended.promise,
    close: async () => {
      // Destroyed without waiting for the database: the connection may be half-open.
      client.connection.stream.destroy();
      await ended.promise;
    },
    head: async () => {
      const { rows } = await client.query(
        "select seq from rollcall_internal.head",
      );
      return Number(rows[0]?.seq ?? 0);
    },
  };
}
