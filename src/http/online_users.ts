/**
 * `GET /users/online`: who is online, as JSON with an ETag.
 *
 * The body and the ETag of the whole list are made together, once for each change of the roster,
 * and kept until the next change. A list for `?ids=` is made for each request. `known_users.ts` says
 * which users may read it, `list_budget.ts` how much, and `list_body.ts` sends a long one.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Context } from "@hono/hono";
import {
  verifyWithinBudget,
  type VerifyWithinBudgetDeps,
} from "../access/verify.ts";
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import type { Roster } from "../core/roster/roster.ts";
import { DISCONNECT, type Disconnect } from "../client/protocol/disconnect.ts";
import type { OnlineUsers } from "../client/protocol/messages.ts";
import type { UserId, UserIds } from "../client/protocol/user_id.ts";
import { isKnown, shortHash } from "./etag.ts";
import { foreignOrigin } from "./foreign_origin.ts";
import { readIdList } from "./id_list.ts";
import { type FindUsers, KnownUsers } from "./known_users.ts";
import { FILTER_IDS_MAX, LIST_WHOLE_BYTES_MAX } from "./limits.ts";
import { inPieces } from "./list_body.ts";
import { ListBudget } from "./list_budget.ts";
import { cannotVerify, problem, refused } from "./problem.ts";
import { type HttpEnv, requestToken } from "./request.ts";
import { requestId } from "./request_id.ts";
import { rawQuery, rawQueryValue } from "./query.ts";

export interface OnlineUsersDeps extends VerifyWithinBudgetDeps {
  readonly config: Pick<
    Config,
    | "allowedOrigins"
    | "autoProvision"
    | "listBytesPerSecondMax"
    | "rosterAccess"
  >;
  readonly roster: Pick<Roster, "has" | "seq" | "everybody">;
  readonly ids: UserIds;
  readonly store: { readonly findUsers: FindUsers };
  readonly clock: Clock;
}

interface List {
  /** Bytes, if it is sent in pieces: its readers share them. */
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly bytes: number;
  readonly etag: string;
}

/** Who reads the list. */
interface Reader {
  /** `undefined`: the list is public. */
  readonly userId: UserId | undefined;
}

export class OnlineUsersEndpoint {
  readonly #deps: OnlineUsersDeps;
  /** `undefined`: every good token is one of a user, because it creates the user. */
  readonly #knownUsers: KnownUsers | undefined;
  readonly #budget: ListBudget;
  /** The whole list, and the state of the roster from which it was made. */
  #whole:
    | List & { readonly seq: number; readonly version: number }
    | undefined;

  constructor(deps: OnlineUsersDeps) {
    this.#deps = deps;
    const { clock, config } = deps;
    const rate = config.listBytesPerSecondMax;
    this.#budget = new ListBudget(rate, () => clock.now());
    if (!config.autoProvision) this.#knownUsers = new KnownUsers(deps);
  }

  /** Answers 200, 304, 400, 401, 429 or 503, each with the headers that let other origins read it. */
  async answer(c: Context<HttpEnv>): Promise<Response> {
    const headers = this.#originHeaders(c);
    const answer = await this.#answer(c, headers);
    if (answer.status < 400) return answer;
    for (const [name, value] of headers) answer.headers.set(name, value);
    return answer;
  }

  /** A list gets all headers at once: on a finished response they cost as much as the rest of it. */
  async #answer(
    c: Context<HttpEnv>,
    originHeaders: readonly [string, string][],
  ): Promise<Response> {
    const reader = await this.#authorize(c);
    if (reader instanceof Response) return reader;
    const list = this.#list(c);
    if (list instanceof Response) return list;
    const headers: [string, string][] = [
      ...originHeaders,
      ["etag", list.etag],
      ["cache-control", "no-cache"],
    ];
    if (isKnown(list.etag, c.req.raw)) {
      return new Response(null, { status: 304, headers });
    }
    const { address } = c.env;
    const refusal = this.#budget.take(list.bytes, address, reader.userId);
    if (refusal !== undefined) return refused(refusal);
    headers.push(["content-type", "application/json"]);
    const { body, bytes } = list;
    if (typeof body === "string") return new Response(body, { headers });
    headers.push(["content-length", String(bytes)]);
    return new Response(inPieces(body, this.#deps.clock), { headers });
  }

  /** The client, or the refusal of one that may not read the list. */
  async #authorize(c: Context<HttpEnv>): Promise<Reader | Response> {
    if (this.#deps.config.rosterAccess === "public") {
      return { userId: undefined };
    }
    const verdict = await verifyWithinBudget(this.#deps, {
      token: requestToken(c.req.raw),
      requestId: requestId(c.req.raw),
    }, c.env.address);
    if (verdict === "unavailable") return cannotVerify();
    if ("status" in verdict) return refused(verdict);
    if (!verdict.ok) return unauthorized(verdict.why);
    const { userId } = verdict;
    const knowledge = await this.#knownUsers?.lookUp(userId);
    if (knowledge === "unknown") return unauthorized(DISCONNECT.unknownUser);
    if (knowledge === "unavailable") return cannotVerify();
    return { userId };
  }

  #list(c: Context<HttpEnv>): List | Response {
    const list = rawQueryValue(rawQuery(c.req.url), "ids");
    if (list === undefined) return this.#wholeList();
    const filter = readIdList("ids", list, this.#deps.ids, FILTER_IDS_MAX);
    if (typeof filter === "string") return problem(400, "bad_ids", filter);
    return this.#listOf(filter);
  }

  #wholeList(): List {
    const { roster: { seq, everybody } } = this.#deps;
    const { version } = everybody;
    // A rename changes the users without a new seq.
    if (this.#whole?.seq !== seq || this.#whole.version !== version) {
      const body: OnlineUsers = { online_users: everybody.users() };
      this.#whole = { ...toList(JSON.stringify(body), seq), seq, version };
    }
    return this.#whole;
  }

  #listOf(ids: ReadonlySet<UserId>): List {
    const { roster } = this.#deps;
    const body: OnlineUsers = { online_users: roster.everybody.users(ids) };
    return toList(JSON.stringify(body), roster.seq);
  }

  /** Hono's middleware sets the same headers, but turns the body into a stream. */
  #originHeaders(c: Context<HttpEnv>): [string, string][] {
    const { config: { allowedOrigins }, log } = this.#deps;
    const headers: [string, string][] = [["vary", "Origin"]];
    const origin = c.req.header("origin");
    if (origin === undefined) return headers;
    const path = "/users/online";
    const foreign = foreignOrigin(c.req.raw, path, allowedOrigins, log);
    if (foreign === undefined) {
      headers.push(
        ["access-control-allow-origin", origin],
        ["access-control-expose-headers", "ETag"],
      );
    }
    return headers;
  }
}

function unauthorized(why: Disconnect): Response {
  const headers = { "www-authenticate": "Bearer" };
  const message = why === DISCONNECT.tokenMissing
    ? `${why.reason}: send it in Authorization, as Bearer <token>, or in ?token=`
    : why.reason;
  return problem(401, "unauthorized", message, headers);
}

/**
 * The hash alone would be a correct ETag. The seq before it is for people who compare two. The seq
 * alone would be wrong: a rename does not change it, and another database uses the same numbers.
 */
function toList(body: string, seq: number): List {
  const bytes = Buffer.byteLength(body);
  const isLong = bytes > LIST_WHOLE_BYTES_MAX;
  return {
    body: isLong ? new TextEncoder().encode(body) : body,
    ...{ bytes, etag: `"${seq}-${shortHash(body)}"` },
  };
}
