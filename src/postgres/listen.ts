/**
 * A connection to Postgres that listens for notifications, and has heard one of its own.
 *
 * @module
 */
import pg from "pg";
import { within } from "../base/clock.ts";
import { DATABASE_ANSWER_MS } from "./limits.ts";
import { LISTENER_ANSWER_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { clientOptions } from "./connect.ts";
import type { Subscription } from "../core/store/store.ts";

/**
 * @param notify Sends a notification, from elsewhere.
 * @param onNotification Called back with the payload of each, until the connection ends.
 * @throws {StartError} when notifications do not arrive.
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
  const heardSelf = Promise.withResolvers<void>();
  const self = crypto.randomUUID();
  client.on(
    "error",
    (err) => log.debug({ err }, "the listening connection broke"),
  );
  client.on("end", () => ended.resolve());
  client.on("notification", ({ payload = "" }) => {
    if (payload === self) heardSelf.resolve();
    else onNotification(payload);
  });
  let isConnected = false;
  try {
    await client.connect();
    isConnected = true;
    await client.query("listen rollcall");
    await notify(self);
    await within(
      LISTENER_ANSWER_MS,
      "the arrival of a notification",
      heardSelf.promise,
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
      // Without waiting for the peer: this may be a link on which nothing arrives any more.
      client.connection.stream.destroy();
      await ended.promise;
    },
    head: async () => {
      const { rows } = await client.query(
        "select seq from rollcall_internal.counter",
      );
      return Number(rows[0]?.seq ?? 0);
    },
  };
}
