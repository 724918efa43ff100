/**
 * Keepalive sends a message to version 2 connections that got none for a while.
 *
 * Browsers hide pings from a page. Without a keepalive, a client behind a dead link would show
 * its old state forever. When `check` is called is not known here.
 *
 * @module
 */
import type { Connection } from "../connections/connection.ts";
import type { Fanout } from "../fanout/fanout.ts";
import { KEEPALIVE_MS } from "./limits.ts";

export interface KeepaliveDeps {
  readonly fanout: Pick<Fanout, "keepAlive">;
}

export class Keepalive {
  readonly #deps: KeepaliveDeps;

  constructor(deps: KeepaliveDeps) {
    this.#deps = deps;
  }

  /** @param now Milliseconds, by the clock of the core. */
  check(connection: Connection, now: number): void {
    if (connection.sync === undefined) return;
    if (now - connection.lastSentAt < KEEPALIVE_MS) return;
    this.#deps.fanout.keepAlive(connection);
  }
}
