/**
 * `GET /users/online`: who is online, as JSON with an ETag.
 *
 * The body and the ETag of the whole list are made together, once for each change of the roster,
 * and kept until the next change. A list for `?ids=` is made for each request.
 *
 * @module
 */
import type { Context } from "@hono/hono";
import {
  verifyWithinBudget,
  type VerifyWithinBudgetDeps,
} from "../access/verify.ts";
import type { Config } from "../config/config.ts";
import type { Roster } from "../core/roster/roster.ts";
import { DISCONNECT, type Disconnect } from "../protocol/disconnect.ts";
import type { OnlineUsers } from "../protocol/messages.ts";
import { parseIdList, type UserId, type UserIds } from "../protocol/user_id.ts";
import { isKnown, shortHash } from "./etag.ts";
import { type FindUsers, KnownUsers } from "./known_users.ts";
import { FILTER_IDS_MAX } from "./limits.ts";
import { cannotVerify, problem, refused } from "./problem.ts";
import { type HttpEnv, requestToken } from "./request.ts";
import { requestId } from "./request_id.ts";
import { rawQueryValue } from "./query.ts";

export interface OnlineUsersDeps extends VerifyWithinBudgetDeps {
  readonly config: Pick<
    Config,
    "allowedOrigins" | "autoProvision" | "rosterAccess"
  >;
  readonly roster: Pick<Roster, "has" | "seq" | "users" | "usersJson">;
  readonly ids: UserIds;
  readonly store: { readonly findUsers: FindUsers };
}

interface List {
  readonly body: string;
  readonly etag: string;
}

export class OnlineUsersEndpoint {
  readonly #deps: OnlineUsersDeps;
  /** `undefined`: every good token is one of a user, because it creates the user. */
  readonly #knownUsers: KnownUsers | undefined;
  /** The whole list, and the state of the roster from which it was made. */
  #whole:
    | List & { readonly seq: number; readonly usersJson: string }
    | undefined;

  constructor(deps: OnlineUsersDeps) {
    this.#deps = deps;
    if (!deps.config.autoProvision) this.#knownUsers = new KnownUsers(deps);
  }

  /** Answers 200, 304, 400, 401, 429 or 503, each with the headers that let other origins read it. */
  async answer(c: Context<HttpEnv>): Promise<Response> {
    const headers = this.#originHeaders(c);
    const list = await this.#refuse(c) ?? this.#list(c);
    if (!(list instanceof Response)) return respond(c, list, headers);
    for (const [name, value] of headers) list.headers.set(name, value);
    return list;
  }

  /** The refusal of a client that may not read the list. */
  async #refuse(c: Context<HttpEnv>): Promise<Response | undefined> {
    if (this.#deps.config.rosterAccess === "public") return undefined;
    const verdict = await verifyWithinBudget(this.#deps, {
      token: requestToken(c.req.raw),
      requestId: requestId(c.req.raw),
    }, c.env.address);
    if (verdict === "unavailable") return cannotVerify();
    if ("status" in verdict) return refused(verdict);
    if (!verdict.ok) return unauthorized(verdict.why);
    const knowledge = await this.#knownUsers?.look(verdict.userId);
    if (knowledge === "unknown") return unauthorized(DISCONNECT.unknownUser);
    if (knowledge === "unavailable") return cannotVerify();
    return undefined;
  }

  #list(c: Context<HttpEnv>): List | Response {
    const list = rawQueryValue(c.req.url, "ids");
    if (list === undefined) return this.#wholeList();
    const filter = parseIdList(list, this.#deps.ids, FILTER_IDS_MAX);
    if (filter !== undefined) return this.#listOf(filter);
    const message =
      `expected ids to be at most ${FILTER_IDS_MAX} user ids, separated by commas`;
    return problem(400, "bad_ids", message);
  }

  #wholeList(): List {
    const { roster } = this.#deps;
    const { seq } = roster;
    const usersJson = roster.usersJson();
    // A rename changes the users without a new seq.
    if (this.#whole?.seq !== seq || this.#whole.usersJson !== usersJson) {
      const list = toList(`{"online_users":${usersJson}}`, seq);
      this.#whole = { ...list, seq, usersJson };
    }
    return this.#whole;
  }

  #listOf(ids: ReadonlySet<UserId>): List {
    const { roster } = this.#deps;
    const body: OnlineUsers = { online_users: roster.users(ids) };
    return toList(JSON.stringify(body), roster.seq);
  }

  /** Hono's middleware sets the same headers, but turns the body into a stream. */
  #originHeaders(c: Context<HttpEnv>): [string, string][] {
    const { allowedOrigins } = this.#deps.config;
    const headers: [string, string][] = [["vary", "Origin"]];
    const origin = c.req.header("origin");
    const isAllowed = origin !== undefined &&
      (allowedOrigins === "*" || allowedOrigins.includes(origin));
    if (isAllowed) {
      headers.push(
        ["access-control-allow-origin", origin],
        ["access-control-expose-headers", "ETag"],
      );
    }
    return headers;
  }
}

function unauthorized({ reason }: Disconnect): Response {
  const headers = { "www-authenticate": "Bearer" };
  return problem(401, "unauthorized", reason, headers);
}

/**
 * The hash alone would be a correct ETag. The seq before it is for people who compare two. The seq
 * alone would be wrong: a rename does not change it, and another database uses the same numbers.
 */
function toList(body: string, seq: number): List {
  return { body, etag: `"${seq}-${shortHash(body)}"` };
}

/** All headers are set at once: headers on a finished response cost as much as the rest of it. */
function respond(
  c: Context<HttpEnv>,
  { body, etag }: List,
  originHeaders: readonly [string, string][],
): Response {
  const headers: [string, string][] = [
    ...originHeaders,
    ["etag", etag],
    ["cache-control", "no-cache"],
  ];
  if (isKnown(etag, c.req.raw)) {
    return new Response(null, { status: 304, headers });
  }
  headers.push(["content-type", "application/json"]);
  return new Response(body, { headers });
}
