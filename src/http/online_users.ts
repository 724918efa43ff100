/**
 * `GET /users/online`: who is online, as JSON with an ETag.
 *
 * With groups it shows those whom the token's user sees. The groups of a user who is online are
 * those of the roster, so the list and the messages of a socket agree. Those of another user are
 * read. A user id that is not online and one that is out of sight are answered alike: neither is
 * in the list.
 *
 * The whole list is kept until it changes (`list_cache.ts`), a list for `?ids=` is made for each
 * request. `known_users.ts` says which users may read it, `list_budget.ts` how much, and
 * `list_body.ts` sends a long one.
 *
 * @module
 */
import type { Context } from "@hono/hono";
import type { GroupWriter } from "../access/group_writer.ts";
import type { GoodVerdict } from "../access/token/verifier.ts";
import {
  verifyWithinBudget,
  type VerifyWithinBudgetDeps,
} from "../access/verify.ts";
import type { Clock } from "../base/clock.ts";
import { GROUP_ID_LENGTH_MAX } from "../base/limits.ts";
import type { Config } from "../config/config.ts";
import { EVERYBODY, type Groups, groupsFor } from "../core/roster/groups.ts";
import type { Roster } from "../core/roster/roster.ts";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../client/protocol/disconnect.ts";
import type { UserId, UserIds } from "../client/protocol/user_id.ts";
import { isKnown } from "./etag.ts";
import { foreignOrigin } from "./foreign_origin.ts";
import { readIdList } from "./id_list.ts";
import { type FindUsers, KnownUsers } from "./known_users.ts";
import { FILTER_IDS_MAX } from "./limits.ts";
import { inPieces } from "./list_body.ts";
import { ListBudget } from "./list_budget.ts";
import { type List, ListCache, makeList } from "./list_cache.ts";
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
  /** `undefined`: there are no groups, and everybody sees everybody. */
  readonly groups: { readonly perUserMax: number } | undefined;
  readonly groupWriter: Pick<GroupWriter, "write">;
  readonly roster: Pick<
    Roster,
    "seq" | "everybody" | "groupsOf" | "view"
  >;
  readonly ids: UserIds;
  readonly store: { readonly findUsers: FindUsers };
  readonly clock: Clock;
}

/** Who reads the list. */
interface Reader {
  /** `undefined`: the list is public. */
  readonly userId: UserId | undefined;
  readonly groups: Groups;
}

export class OnlineUsersEndpoint {
  readonly #deps: OnlineUsersDeps;
  /** `undefined`: there are no groups, and every good token belongs to a user, because it creates one. */
  readonly #knownUsers: KnownUsers | undefined;
  readonly #budget: ListBudget;
  readonly #lists = new ListCache();

  constructor(deps: OnlineUsersDeps) {
    this.#deps = deps;
    const { clock, config, groups } = deps;
    const rate = config.listBytesPerSecondMax;
    this.#budget = new ListBudget(rate, () => clock.now());
    if (groups !== undefined || !config.autoProvision) {
      this.#knownUsers = new KnownUsers(deps);
    }
  }

  /** Answers 200, 304, 400, 401, 403, 429 or 503, each with the headers that let other origins read it. */
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
    const isPrivate = this.#deps.groups !== undefined;
    const reader = await this.#authorize(c);
    if (reader instanceof Response) return reader;
    const list = this.#list(c, reader);
    if (list instanceof Response) return list;
    const headers: [string, string][] = [
      ...originHeaders,
      ["etag", list.etag],
      ["cache-control", isPrivate ? "private, no-cache" : "no-cache"],
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
      return { userId: undefined, groups: EVERYBODY };
    }
    const verdict = await verifyWithinBudget(this.#deps, {
      token: requestToken(c.req.raw),
      requestId: requestId(c.req.raw),
    }, c.env.address);
    if (verdict === "unavailable") return cannotVerify();
    if ("status" in verdict) return refused(verdict);
    if (!verdict.ok) return unauthorized(verdict.why);
    const groups = await this.#groupsOf(verdict);
    return groups instanceof Response
      ? groups
      : { userId: verdict.userId, groups };
  }

  /**
   * The groups of a token's user, or the refusal. Those of the token are written first, as for a
   * socket: the newest token of the user holds, and that may be another one.
   */
  async #groupsOf(verdict: GoodVerdict): Promise<Groups | Response> {
    const { groupWriter, config, groups } = this.#deps;
    const { userId } = verdict;
    if (await groupWriter.write(verdict) === "failed") return cannotVerify();
    const knowledge = await this.#knownUsers?.lookUp(userId) ?? EVERYBODY;
    switch (knowledge) {
      case "unknown":
        // The first socket of this user creates it. Until then nobody shares a group with it.
        if (config.autoProvision) return groupsFor(userId, []);
        return unauthorized(DISCONNECT.unknownUser);
      case "unavailable":
        return cannotVerify();
      case "overgrouped":
        return overgrouped(groups?.perUserMax ?? 0);
      default:
        return knowledge;
    }
  }

  #list(c: Context<HttpEnv>, { groups }: Reader): List | Response {
    const { ids, roster } = this.#deps;
    const view = groups === EVERYBODY ? roster.everybody : roster.view(groups);
    const list = rawQueryValue(rawQuery(c.req.url), "ids");
    if (list === undefined) return this.#lists.whole(view, roster.seq);
    const filter = readIdList("ids", list, ids, FILTER_IDS_MAX);
    if (typeof filter === "string") return problem(400, "bad_ids", filter);
    return makeList(view, roster.seq, filter);
  }

  /** Hono's middleware sets the same headers, but turns the body into a stream. */
  #originHeaders(c: Context<HttpEnv>): [string, string][] {
    const { config: { allowedOrigins }, groups, log } = this.#deps;
    const vary = groups === undefined ? "Origin" : "Origin, Authorization";
    const headers: [string, string][] = [["vary", vary]];
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

function overgrouped(perUserMax: number): Response {
  const { tooManyGroups } = DISCONNECT;
  const { reason } = withDetail(tooManyGroups, perUserMax, GROUP_ID_LENGTH_MAX);
  return problem(403, "too_many_groups", reason);
}
