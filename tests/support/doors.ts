/**
 * The doors of a server through which a client might learn of users whom it does not see. Each is
 * tried with the ids of unseen users, and all answers are kept.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { shortHash } from "../../src/http/etag.ts";
import { ABSENT, ASLEEP, ATTACKER, FRIEND, HIDDEN } from "./hidden_world.ts";
import { observe, Tap } from "./tap.ts";
import { until } from "./until.ts";

/** A hidden user, one who is never online, and one who does not exist: they must look the same. */
export const UNSEEN = [HIDDEN, ASLEEP, ABSENT];

const FUTURE = 2 ** 53 - 1;

/** What was observed at each door, by its name. */
export type Observed = Record<string, unknown>;

export interface Tokens {
  readonly own: string;
  /** With the groups of the hidden users, which the adversary has left since. */
  readonly older: string;
  readonly friend: string;
  /** Of a hidden user. */
  readonly hidden: string;
  /** Of a user who gets counts. */
  readonly many: string;
}

/** A `seq` that the adversary has seen. */
export interface Seqs {
  readonly first: number;
  readonly last: number;
}

export class Doors {
  readonly #tokens: Tokens;
  /** Of the list, before the hidden users did anything. */
  #etag = "";

  constructor(tokens: Tokens) {
    this.#tokens = tokens;
  }

  async tryAll(url: string, seqs: Seqs): Promise<Observed> {
    const [list, handshakes, messages, rest] = await Promise.all([
      ...[this.#tryList(url), this.#tryHandshakes(url, seqs)],
      ...[this.#tryMessages(url), this.#tryRest(url)],
    ]);
    return { ...list, ...handshakes, ...messages, ...rest };
  }

  #list(
    url: string,
    init: RequestInit & { query?: string } = {},
  ): Promise<string> {
    const headers = {
      authorization: `Bearer ${this.#tokens.own}`,
      ...init.headers,
    };
    return observe(`${url}users/online${init.query ?? ""}`, {
      ...init,
      headers,
    });
  }

  async #tryList(url: string): Promise<Observed> {
    const observed: Observed = {};
    const list = await this.#list(url);
    this.#etag ||= /"etag",("(?:[^"\\]|\\.)*")/.exec(list)?.[1] ?? "";
    observed["list"] = list;
    observed["HEAD of the list"] = await this.#list(url, { method: "HEAD" });
    observed["list with an older token"] = await this.#list(url, {
      headers: { authorization: `Bearer ${this.#tokens.older}` },
    });
    observed["list since the first one"] = await this.#list(url, {
      headers: { "if-none-match": JSON.parse(this.#etag) },
    });
    const guesses = UNSEEN.flatMap((id) => [[id], [ATTACKER, id]]).map(
      (ids) => {
        const users = ids.map((id) => ({ id, username: `user${id}` }));
        return `"${shortHash(JSON.stringify({ online_users: users }))}"`;
      },
    );
    observed["list with guessed ETags"] = await this.#list(url, {
      headers: { "if-none-match": guesses.join() },
    });
    const same = new Set<string>();
    for (const id of UNSEEN) {
      const answers = [
        await this.#list(url, { query: `?ids=${id}` }),
        await this.#list(url, { query: `?ids=${id}`, method: "HEAD" }),
        await this.#list(url, { query: `?ids=${id},${ATTACKER}` }),
        await this.#list(url, {
          query: `?ids=${id}`,
          headers: { "if-none-match": guesses.join() },
        }),
      ];
      same.add(JSON.stringify(answers));
    }
    observed["lists of unseen ids"] = [...same];
    equal(same.size, 1, "lists of unseen ids differ");
    for (const ids of ["x", "03", "3.0", `${HIDDEN},`, `${FUTURE},${HIDDEN}`]) {
      observed[`list of ids=${ids}`] = await this.#list(url, {
        query: `?ids=${ids}`,
      });
    }
    return observed;
  }

  /** Opens a socket, waits for its first message or its end, and closes it. */
  async open(
    url: string,
    query: string,
    token = this.#tokens.own,
  ): Promise<readonly string[]> {
    await using tap = new Tap(url, token, { query });
    await until(
      "the socket answers",
      () => tap.events.length > 1 || tap.isClosed,
    );
    return tap.observed;
  }

  async #tryHandshakes(url: string, { first, last }: Seqs): Promise<Observed> {
    const observed: Observed = {};
    const seqs = {
      ...{ "the first": first, "the last": last, "0": 0 },
      ...{
        "a next": last + 1,
        "a later": last + 1_000,
        "a future": FUTURE,
      },
    };
    for (const [name, since] of Object.entries(seqs)) {
      const queries = UNSEEN.map((id) => `since=${since}&watch=${id}`);
      const [first, ...others] = await Promise.all(
        [`since=${since}`, ...queries].map((query) => this.open(url, query)),
      );
      observed[`since ${name} seq`] = first;
      observed[`watch of unseen ids since ${name} seq`] = others;
      for (const other of others) deepEqual(other, others[0]);
    }
    observed["a socket with an older token"] = await this.open(
      ...[url, "", this.#tokens.older] as const,
    );
    observed["watch of a bad id"] = await this.open(url, "watch=x");
    observed["too many in watch"] = await this.open(
      url,
      `watch=${Array.from({ length: 21 }, (_, n) => n)}`,
    );
    return observed;
  }

  /** The answers to messages, in their order. */
  async #tryMessages(url: string): Promise<Observed> {
    await using tap = new Tap(url, this.#tokens.own, {
      query: `watch=${ATTACKER}`,
    });
    await tap.receives("presence_state");
    for (const [ref, id] of UNSEEN.entries()) {
      const watch = { type: "watch", userIds: [id], ref };
      await tap.asks(watch, "presence_state");
    }
    const unseen = { type: "watch", userIds: [...UNSEEN, FRIEND], ref: 8 };
    await tap.asks(unseen, "presence_state");
    const many = Array.from({ length: 21 }, (_, n) => n);
    await tap.asks({ type: "watch", userIds: many, ref: 9 }, "watch_too_large");
    await tap.asks(
      { type: "watch", userIds: [HIDDEN, "x"], ref: 10 },
      "bad_message",
    );
    await tap.asks(
      { type: "refresh", token: this.#tokens.hidden },
      "bad_token",
    );
    await using other = new Tap(url, this.#tokens.own, {
      query: `watch=${UNSEEN}`,
    });
    await other.receives("presence_state");
    other.send({ type: "refresh", token: this.#tokens.older });
    await other.asks({ type: "ping" }, "keepalive");
    await using counted = new Tap(url, this.#tokens.many);
    await counted.receives("presence_count");
    return {
      "a count": counted.observed,
      "an older token in a message": other.observed,
      "messages of version 2": tap.observed,
    };
  }

  async #tryRest(url: string): Promise<Observed> {
    const observed: Observed = {};
    const paths = [
      "",
      "healthz",
      "readyz",
      "demo/users",
      "demo/since",
      "demo/crowd",
    ]
      .concat(
        "admin",
        "admin/status",
        `admin/status?user=${HIDDEN}`,
        "users",
        "ws",
      );
    for (const path of paths) {
      const headers = { authorization: `Bearer ${this.#tokens.own}` };
      observed[`/${path}`] = await observe(`${url}${path}`, { headers });
    }
    for (const id of UNSEEN) {
      observed[`disconnect ${id}`] = await observe(`${url}admin/disconnect`, {
        method: "POST",
        body: JSON.stringify({ userId: id }),
      });
    }
    observed["no token"] = await observe(`${url}users/online?ids=${HIDDEN}`);
    // The metrics are for operators, and have the numbers of all users. They name nobody.
    const metrics = await (await fetch(`${url}metrics`)).text();
    ok(
      !/user\d|hidden|moved|seen/.test(metrics.replaceAll(/^#.*$/gm, "")),
      metrics,
    );
    return observed;
  }
}
