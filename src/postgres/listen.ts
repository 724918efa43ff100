/**
 * The connection on which a node receives notifications from Postgres.
 *
 * Behind a pooler in transaction mode, LISTEN succeeds and no notification ever arrives. So the
 * node sends one to itself before it relies on the connection.
 *
 * @module
 */
import type pg from "pg";
import { within } from "../base/clock.ts";
import { DATABASE_ANSWER_MS } from "./limits.ts";
import { NOTIFICATION_ANSWER_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { connect } from "./connect.ts";
import { transientReason } from "./transient.ts";
import type { Subscription } from "../core/store/store.ts";

/** Sends a notification with this payload over another connection. */
type Notify = (payload: string) => Promise<unknown>;

/**
 * Makes sure that a connection is one session of the database. It comes before everything that sets
 * or locks something for a session, and leaves nothing behind: a pooler in transaction mode gives
 * its connections to the application next.
 *
 * @throws {StartError} when the database cannot be reached, or is behind a pooler in transaction mode.
 */
export async function requireSessions(url: string | undefined): Promise<void> {
  const listener = await connect(url);
  try {
    const sender = await connect(url);
    try {
      // Nobody else sends on this channel, should the pooler keep it open.
      const channel = `rollcall_${crypto.randomUUID().replaceAll("-", "")}`;
      const sql = "select pg_catalog.pg_notify($1, $2)";
      const notify: Notify = (payload) => sender.query(sql, [channel, payload]);
      await requireNotifications(listener, channel, notify, () => {});
    } finally {
      await sender.end();
    }
  } finally {
    await listener.end();
  }
}

/**
 * Listens, and resolves when a notification has arrived.
 *
 * @param onNotification Called with the payload of each notification until the connection ends.
 * @throws {StartError} when the database cannot be reached, or the notification does not arrive.
 */
export async function listen(
  url: string | undefined,
  log: Log,
  notify: Notify,
  onNotification: (payload: string) => void,
): Promise<Subscription> {
  const client = await connect(url, { query_timeout: DATABASE_ANSWER_MS });
  const ended = Promise.withResolvers<void>();
  client.on(
    "error",
    (err) => log.debug({ err }, "the connection for notifications broke"),
  );
  client.on("end", () => ended.resolve());
  await requireNotifications(client, "rollcall", notify, onNotification);
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

/** Listens on a channel. Rejects, and ends the connection, if what is sent on it does not arrive. */
async function requireNotifications(
  client: pg.Client,
  channel: string,
  notify: Notify,
  onNotification: (payload: string) => void,
): Promise<void> {
  const receivedOwn = Promise.withResolvers<void>();
  const ownPayload = crypto.randomUUID();
  client.on("notification", ({ payload = "" }) => {
    if (payload === ownPayload) receivedOwn.resolve();
    else onNotification(payload);
  });
  try {
    await client.query(`listen ${channel}`);
    await notify(ownPayload);
    await within(
      NOTIFICATION_ANSWER_MS,
      "the arrival of a notification",
      receivedOwn.promise,
    );
  } catch (cause) {
    client.connection.stream.destroy();
    const advice = transientReason(cause) === undefined
      ? "; expected a direct connection, which a pooler in transaction mode is not: check DATABASE_URL"
      : "";
    throw new StartError(
      `Cannot listen for notifications: ${messageOf(cause)}${advice}`,
      { cause },
    );
  }
}
