/**
 * What a request for `/ws` asks for: a protocol version, and with version 2 where to go on
 * and whom to hear about. Whether its sender may have it is not decided here.
 *
 * @module
 */
import {
  BEARER_SUBPROTOCOL_PREFIX,
  SUBPROTOCOL_V1,
  SUBPROTOCOL_V2,
} from "../protocol/messages.ts";
import type { UserId } from "../protocol/user_id.ts";
import { problem } from "../http/problem.ts";
import { requestId } from "../http/request_id.ts";
import { requestToken } from "../http/request.ts";
import { readUserIds } from "../http/user_ids.ts";

export interface SocketRequest {
  readonly version: 1 | 2;
  /** To be named in the answer; nothing if nothing was offered. */
  readonly protocol: string | undefined;
  readonly token: string | undefined;
  readonly requestId: string;
  /** The last `seq` that the client was told. */
  readonly since: number | undefined;
  readonly watch: ReadonlySet<UserId> | "*";
}

const VERSIONS: ReadonlyMap<string, 1 | 2> = new Map([
  [SUBPROTOCOL_V1, 1],
  [SUBPROTOCOL_V2, 2],
]);

/** Or the answer that says what is wrong with it. */
export function readSocketRequest(
  request: Request,
  watchedUsersMax: number,
): SocketRequest | Response {
  const offered = (request.headers.get("sec-websocket-protocol") ?? "")
    .split(",").map((name) => name.trim()).filter((name) => name);
  const protocol = offered.find((name) => VERSIONS.has(name));
  if (protocol === undefined && offered.length > 0) {
    return problem(
      400,
      "unknown_subprotocol",
      `none of the offered subprotocols is spoken here; offer ${SUBPROTOCOL_V2} or ${SUBPROTOCOL_V1}, also beside a token, or nothing at all`,
    );
  }
  const version = VERSIONS.get(protocol ?? SUBPROTOCOL_V1) ?? 1;
  const query = new URL(request.url).searchParams;
  for (const name of ["since", "watch"]) {
    if (version === 2 || !query.has(name)) continue;
    const message = `${name} is for clients that offer ${SUBPROTOCOL_V2}`;
    return problem(400, `bad_${name}`, message);
  }
  const since = query.get("since") ?? undefined;
  if (since !== undefined && !isSeq(since)) {
    const message = `since=${
      quoted(since)
    }: expected the last seq you were told, a whole number`;
    return problem(400, "bad_since", message);
  }
  const watch = readWatch(query.get("watch"), watchedUsersMax);
  if (watch === "invalid") {
    return problem(
      400,
      "bad_watch",
      `watch must be up to ${watchedUsersMax} user ids with commas between them`,
    );
  }
  const bearer = offered.find((name) =>
    name.startsWith(BEARER_SUBPROTOCOL_PREFIX)
  );
  return {
    version,
    protocol,
    token: bearer?.slice(BEARER_SUBPROTOCOL_PREFIX.length) ??
      requestToken(request),
    requestId: requestId(request),
    since: since === undefined ? undefined : Number(since),
    watch,
  };
}

function isSeq(text: string): boolean {
  return /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text));
}

function readWatch(
  list: string | null,
  watchedUsersMax: number,
): ReadonlySet<UserId> | "*" | "invalid" {
  if (list === null || list === "*") return "*";
  return readUserIds(list, watchedUsersMax) ?? "invalid";
}

/** Enough of a value to recognise it. */
function quoted(text: string): string {
  return JSON.stringify(text.length <= 40 ? text : `${text.slice(0, 40)}...`);
}
