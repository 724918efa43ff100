/**
 * The exchanges in docs/contracts/transcripts are what a real server does, and so are the answers
 * in docs/contracts/openapi.json.
 *
 * `WRITE=1 deno test -A tests/e2e/transcripts_test.ts` writes the transcripts.
 */
import { equal } from "node:assert/strict";
import { tokenFor } from "../support/client.ts";
import { isDocumented, paths } from "../support/contracts.ts";
import { postgresForThisFile } from "../support/database.ts";
import { readDocument } from "../support/documents.ts";
import { listed } from "../support/roster.ts";
import { ROOT, startServerOn } from "../support/server.ts";
import { Transcript } from "../support/transcript.ts";

const postgres = postgresForThisFile();
const V1 = "rollcall.v1";
const V2 = "rollcall.v2";

interface Actors {
  readonly transcript: Transcript;
  /** Opens a socket for a user with a good token. */
  opens(
    user: 1 | 2 | 3,
    version: string,
    query?: string,
  ): ReturnType<Transcript["opens"]>;
  /** Waits until exactly these users are online. */
  online(...ids: number[]): Promise<void>;
}

interface Scenario {
  readonly about: string;
  readonly env?: Record<string, string>;
  play(actors: Actors): Promise<void>;
}

const scenarios: Record<string, Scenario> = {
  version_1: {
    about:
      "Version 1: one message for each transition of another user. The list is read after the socket is open.",
    play: async ({ transcript, opens, online }) => {
      const ada = await opens(1, V1);
      await online(1);
      await transcript.gets("/users/online", {
        authorization: `Bearer ${
          transcript.token("<token of user 1>", await tokenFor(1))
        }`,
      });
      const bob = await opens(2, V1);
      await ada.receives();
      await bob.closes();
      await ada.receives();
    },
  },
  version_2: {
    about:
      "Version 2: a state, then diffs. A ping is answered with a keepalive.",
    play: async ({ opens }) => {
      const ada = await opens(1, V2);
      await ada.receives();
      const bob = await opens(2, V2);
      await bob.receives();
      await ada.receives();
      await bob.closes();
      await ada.receives();
      ada.sends({ type: "ping" });
      await ada.receives();
    },
  },
  resume: {
    about:
      "A client comes back with the seq of its last message, and gets what changed meanwhile in one diff.",
    play: async ({ opens, online }) => {
      const ada = await opens(1, V2);
      await ada.receives();
      const bob = await opens(2, V2);
      await bob.receives();
      const { seq } = await ada.receives();
      await ada.closes();
      await online(2);
      const chen = await opens(3, V2);
      await chen.receives();
      await bob.closes();
      await online(3);
      const again = await opens(1, V2, `?since=${seq}`);
      await again.receives();
    },
  },
  watch: {
    about:
      "A client that watches some users hears of no others. An answer repeats the ref of the watch.",
    play: async ({ opens }) => {
      const ada = await opens(1, V2, "?watch=2");
      await ada.receives();
      const bob = await opens(2, V1);
      await ada.receives();
      ada.sends({ type: "watch", userIds: [2, 3], ref: 7 });
      await ada.receives();
      await ada.receives();
      ada.sends({ type: "watch", userIds: ["x"], ref: 8 });
      await ada.receives();
      await bob.closes();
      await ada.receives();
    },
  },
  tokens: {
    about:
      "Tokens: an expired one, one that is none, a refresh that is refused, one that is accepted, and the warning before a token expires.",
    play: async ({ transcript, opens }) => {
      const expired = await tokenFor(1, -60);
      transcript.token("<expired token>", expired);
      const late = await transcript.opens("ada", "/ws", [
        V2,
        `bearer.${expired}`,
      ]);
      await late.isClosed();
      const wrong = await transcript.opens("ada", "/ws?token=nonsense", []);
      await wrong.isClosed();
      const ada = await opens(1, V2);
      await ada.receives();
      ada.sends({ type: "refresh", token: "nonsense" });
      await ada.receives();
      const short = await tokenFor(1, 1);
      transcript.token("<token of user 1, for a second>", short);
      ada.sends({ type: "refresh", token: short });
      await ada.receives();
    },
  },
  bad_messages: {
    about:
      "A message that cannot be understood is answered with an error. Too many of them end the connection.",
    play: async ({ opens }) => {
      const ada = await opens(1, V2);
      await ada.receives();
      // All at once: the budget grows with time.
      ada.sendsText("hello");
      ada.sends({ type: "subscribe" });
      for (let count = 0; count < 3; count++) ada.sendsText("hello");
      for (let count = 0; count < 4; count++) await ada.receives();
      await ada.isClosed();
    },
  },
  count: {
    about:
      "More users are online than MAX_STATE_USERS, here 1: their number comes instead of their names.",
    env: { MAX_STATE_USERS: "1" },
    play: async ({ opens, online }) => {
      await opens(1, V1);
      await opens(2, V1);
      await online(1, 2);
      const chen = await opens(3, V2);
      await chen.receives();
      await chen.receives();
    },
  },
  list: {
    about:
      "The list over HTTP: with an ETag, unchanged, some users of it, without a token.",
    play: async ({ transcript, opens, online }) => {
      await opens(1, V1);
      await opens(2, V1);
      await online(1, 2);
      const token = transcript.token("<token of user 1>", await tokenFor(1));
      const headers = { authorization: `Bearer ${token}` };
      const { etag } = await transcript.gets("/users/online", headers);
      await transcript.gets("/users/online", {
        ...{ ...headers, "if-none-match": etag },
      });
      await transcript.gets("/users/online?ids=2,3", headers);
      await transcript.gets("/users/online?ids=two", headers);
      await transcript.gets("/users/online");
    },
  },
};

for (const [name, { about, env, play }] of Object.entries(scenarios)) {
  Deno.test(`the transcript ${name} is what a server does`, async () => {
    await using server = await startServerOn(postgres.database(), {
      ...{ ROSTER_ACCESS: "token", ...env },
    });
    const transcript = new Transcript(server.url, about);
    const opens: Actors["opens"] = async (user, version, query = "") => {
      const token = await tokenFor(user);
      transcript.token(`<token of user ${user}>`, token);
      const client = ["ada", "bob", "chen"][user - 1] ?? "";
      return transcript.opens(client, `/ws${query}`, [
        version,
        `bearer.${token}`,
      ]);
    };
    try {
      const authorization = `Bearer ${await tokenFor(9)}`;
      const online = (...ids: number[]) =>
        listed(server, ids, { authorization });
      await play({ transcript, opens, online });
    } finally {
      await transcript.end();
    }
    const text = transcript.lines
      .map((line) => `${JSON.stringify(line)}\n`).join("")
      // The seconds depend on when the server looks.
      .replace(/expires in \d s/, "expires in 3 s");
    const file = `docs/contracts/transcripts/${name}.jsonl`;
    if (Deno.env.has("WRITE")) await Deno.writeTextFile(`${ROOT}${file}`, text);
    equal(text, await readDocument(file));
  });
}

Deno.test("each answer of a server is in openapi.json, and its body fits", async () => {
  const ADMIN_TOKEN = "an-admin-token-that-every-test-knows-0123";
  await using server = await startServerOn(postgres.database(), {
    ...{ ROSTER_ACCESS: "token", ADMIN_TOKEN },
  });
  const user = { authorization: `Bearer ${await tokenFor(1)}` };
  const admin = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const expect = async (
    status: number,
    request: string,
    headers: Record<string, string> = {},
    body?: string,
  ) => {
    const [method = "", target = ""] = request.split(" ");
    const url = new URL(target.slice(1), server.url);
    const response = await fetch(url, {
      ...{ method, headers },
      ...(body !== undefined && { body }),
    });
    equal(response.status, status, request);
    await isDocumented(method, target.split("?")[0] ?? "", response);
  };
  for (const path of Object.keys(paths)) {
    if (/^\/(healthz|readyz|metrics|client.js)?$/.test(path)) {
      await expect(200, `GET ${path}`);
    }
  }
  await expect(200, "GET /users/online", user);
  await expect(400, "GET /users/online?ids=,", user);
  await expect(401, "GET /users/online");
  await expect(426, "GET /ws");
  const disconnect = "POST /admin/disconnect";
  await expect(202, disconnect, admin, '{"userId":1}');
  await expect(400, disconnect, admin, '{"user":1}');
  await expect(401, disconnect, user, '{"userId":1}');
});
