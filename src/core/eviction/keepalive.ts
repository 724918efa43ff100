/**
 * Keepalive sends a message to version 2 connections that got none for a while.
 *
 * Browsers hide pings from a page. Without a keepalive, a client behind a dead link would show
 * its old state forever. It does not know when `check` is called.
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

  check(connection: Connection): void {
    this.#deps.fanout.keepAlive(connection, KEEPALIVE_MS);
  }
}
