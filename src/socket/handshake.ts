/**
 * The handshake reads what a request for `/ws` asks for: a protocol version, a token, and with
 * version 2 the position to resume from and the users to watch.
 *
 * It does not know whether the client may have it.
 *
 * @module
 */
import { excerpt } from "../base/cut_text.ts";
import { readIdList } from "../http/id_list.ts";
import { problem } from "../http/problem.ts";
import { rawQuery, rawQueryValue } from "../http/query.ts";
import { type RequestHead, requestToken } from "../http/request.ts";
import { requestId } from "../http/request_id.ts";
import {
  BEARER_SUBPROTOCOL_PREFIX,
  SUBPROTOCOL_V1,
  SUBPROTOCOL_V2,
} from "../client/protocol/messages.ts";
import type { UserId, UserIds } from "../client/protocol/user_id.ts";

export interface SocketRequest {
  readonly version: 1 | 2;
  /** The subprotocol that the answer names. `undefined` if the client offered none. */
  readonly protocol: string | undefined;
  readonly token: string | undefined;
  readonly requestId: string;
  /** The last `seq` that the client received. */
  readonly since: number | undefined;
  readonly watch: ReadonlySet<UserId> | "*";
}

const VERSIONS: ReadonlyMap<string, 1 | 2> = new Map([
  [SUBPROTOCOL_V1, 1],
  [SUBPROTOCOL_V2, 2],
]);

/** 16 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/** Reads the request, or makes the answer that says what is wrong with it. */
export function readSocketRequest(
  request: RequestHead,
  watchedUsersMax: number,
  ids: UserIds,
): SocketRequest | Response {
  const malformed = refuseMalformed(request);
  if (malformed !== undefined) return malformed;
  const offered = (request.headers.get("sec-websocket-protocol") ?? "")
    .split(",").map((name) => name.trim()).filter((name) => name);
  const protocol = offered.find((name) => VERSIONS.has(name));
  if (protocol === undefined && offered.length > 0) {
    return problem(
      400,
      "unknown_subprotocol",
      `none of the offered subprotocols is supported: expected ${SUBPROTOCOL_V2} or ${SUBPROTOCOL_V1}, also beside a token, or no offer`,
    );
  }
  const version = VERSIONS.get(protocol ?? SUBPROTOCOL_V1) ?? 1;
  const raw = rawQuery(request.url);
  const query = new URLSearchParams(raw);
  for (const name of ["since", "watch"]) {
    if (version === 2 || !query.has(name)) continue;
    const message = `${name} needs the subprotocol ${SUBPROTOCOL_V2}`;
    return problem(400, `bad_${name}`, message);
  }
  const since = query.get("since") ?? undefined;
  if (since !== undefined && !isSeq(since)) {
    const message = `since=${
      excerpt(since)
    }: expected the last seq that you received, a whole number`;
    return problem(400, "bad_since", message);
  }
  const watch = readWatch(rawQueryValue(raw, "watch"), watchedUsersMax, ids);
  if (watch instanceof Response) return watch;
  const bearer = offered.find((name) =>
    name.startsWith(BEARER_SUBPROTOCOL_PREFIX)
  );
  return {
    version,
    protocol,
    token: bearer?.slice(BEARER_SUBPROTOCOL_PREFIX.length) ??
      requestToken(request, query),
    requestId: requestId(request),
    since: since === undefined ? undefined : Number(since),
    watch,
  };
}

/** Refuses what is no handshake of RFC 6455, section 4.2.1. */
function refuseMalformed(
  { method, headers }: RequestHead,
): Response | undefined {
  if (method !== "GET") {
    const message = "expected the method GET for a WebSocket handshake";
    return problem(405, "method_not_allowed", message, { allow: "GET" });
  }
  if (headers.get("sec-websocket-version") !== "13") {
    const message = "expected Sec-WebSocket-Version: 13";
    const version = { "sec-websocket-version": "13" };
    return problem(426, "upgrade_required", message, version);
  }
  const isUpgrade = (headers.get("connection") ?? "").split(",")
    .some((name) => name.trim().toLowerCase() === "upgrade");
  if (isUpgrade && KEY.test(headers.get("sec-websocket-key") ?? "")) {
    return undefined;
  }
  const message =
    "expected Connection: Upgrade, and a Sec-WebSocket-Key of 16 bytes in base64";
  return problem(400, "bad_handshake", message);
}

function isSeq(text: string): boolean {
  return /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text));
}

function readWatch(
  list: string | undefined,
  watchedUsersMax: number,
  ids: UserIds,
): ReadonlySet<UserId> | "*" | Response {
  if (list === undefined || list === "*") return "*";
  if (ids.type !== "text" && list === "%2A") return "*";
  const watch = readIdList("watch", list, ids, watchedUsersMax);
  return typeof watch === "string" ? problem(400, "bad_watch", watch) : watch;
}
