/**
 * Token expiry closes a connection when its token expires.
 *
 * A version 2 connection gets the error `token_expiring` before that, so that its client can
 * send a new token. It does not know when `check` is called.
 *
 * @module
 */
import { DISCONNECT } from "../../protocol/disconnect.ts";
import type { Connection } from "../connections/connection.ts";
import type { Connections } from "../connections/connections.ts";
import type { Fanout } from "../fanout/fanout.ts";
import { encodeError } from "../fanout/sync_messages.ts";
import { TOKEN_WARNING_MS } from "./limits.ts";

export interface TokenExpiryDeps {
  readonly connections: Pick<Connections, "disconnect">;
  readonly fanout: Pick<Fanout, "sendControl">;
}

export class TokenExpiry {
  readonly #deps: TokenExpiryDeps;

  constructor(deps: TokenExpiryDeps) {
    this.#deps = deps;
  }

  /**
   * Closes the connection if its token has expired, or warns it if the warning became due since the
   * last check. Times are in milliseconds, by the clock of the core.
   *
   * @param checkedAt When the last check was.
   */
  check(
    connection: Connection,
    checkedAt: number,
    now: number,
  ): "closed" | "warned" | "valid" {
    const { connections, fanout } = this.#deps;
    const { version, endsAt } = connection;
    if (now >= endsAt) {
      connections.disconnect(connection, DISCONNECT.tokenExpired);
      return "closed";
    }
    const warnAt = warnAtOf(connection);
    if (version === 1 || warnAt <= checkedAt || warnAt > now) return "valid";
    const seconds = Math.ceil((endsAt - now) / 1_000);
    const message = `your token expires in ${seconds} s: send a refresh`;
    fanout.sendControl(connection, encodeError("token_expiring", message));
    return "warned";
  }
}

/** A short-lived token is warned about at half of its time, not as soon as it arrives. */
function warnAtOf({ endsAt, tokenReceivedAt }: Connection): number {
  const validMs = endsAt - tokenReceivedAt;
  return endsAt - Math.min(TOKEN_WARNING_MS, validMs / 2);
}
