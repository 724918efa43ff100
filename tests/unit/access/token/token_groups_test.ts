import { deepEqual, equal } from "node:assert/strict";
import { SignJWT } from "jose";
import {
  TOKEN_ISSUED_AHEAD_SECONDS_MAX,
  TOKEN_TIME_SECONDS_MAX,
} from "../../../../src/access/token/limits.ts";
import { createVerifier } from "../../../../src/access/token/verifier.ts";
import { GROUP_ID_LENGTH_MAX } from "../../../../src/base/limits.ts";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../../../../src/client/protocol/disconnect.ts";
import { TEST_SECRET } from "../../../support/server.ts";

const MAX = 3;
const TOO_MANY = withDetail(
  DISCONNECT.tooManyGroups,
  MAX,
  GROUP_ID_LENGTH_MAX,
);

/** Verifies a good token with these claims, where the groups are in `team.ids`. */
async function verify(
  claims: Record<string, unknown>,
  { groupsClaim }: { groupsClaim?: string } = { groupsClaim: "team.ids" },
) {
  const token = await new SignJWT({ sub: "1", exp: 32_503_680_000, ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(TEST_SECRET));
  const verifier = createVerifier({
    key: { kind: "secret", secret: TEST_SECRET },
    ...{ issuer: undefined, audiences: undefined, userClaim: "sub" },
    ...{ usernameClaims: [], groupsClaim, groupsPerUserMax: MAX },
  });
  return await verifier(token);
}

/** The groups of a token whose claim has this value, or why it is refused. */
async function groupsOf(ids: unknown) {
  const verdict = await verify({ team: { ids } });
  return verdict.ok ? verdict.groups : verdict.why;
}

const WRONG: Disconnect = withDetail(
  DISCONNECT.tokenClaimInvalid,
  "team.ids",
  "group ids, each a text that is not empty or a whole number",
);

Deno.test("[V1] the groups of a token are those of the configured claim, sorted and each once", async () => {
  deepEqual(await groupsOf(["b", "a", "b"]), ["a", "b"]);
  deepEqual(await groupsOf("b"), ["b"]);
  deepEqual(await groupsOf([7, "7", "8"]), ["7", "8"]);
  deepEqual(await groupsOf(0), ["0"]);
  for (const none of [undefined, null, []]) deepEqual(await groupsOf(none), []);
  const elsewhere = await verify({ ids: ["a"] });
  deepEqual(elsewhere.ok && elsewhere.groups, []);
});

Deno.test("[V1] without JWT_GROUPS_CLAIM a token has no groups, whatever it says", async () => {
  for (const ids of [["a"], {}]) {
    const verdict = await verify({ team: { ids } }, {});
    equal(verdict.ok && verdict.groups, undefined);
  }
});

Deno.test("[V1] a claim that is no list of group ids refuses the token, and says what is expected", async () => {
  const wrong = [
    ...["", true, 1.5, 2 ** 53, {}, "a\0b", "\ud800"],
    ...[[""], [null], [["a"]], ["a", {}], ["a", "\udc00"], [false]],
  ];
  for (const ids of wrong) deepEqual(await groupsOf(ids), WRONG);
});

Deno.test("[L1] a token with too many groups, or with an id that is too long, is refused", async () => {
  deepEqual(await groupsOf(["a", "b", "c", "a"]), ["a", "b", "c"]);
  deepEqual(await groupsOf(["a", "b", "c", "d"]), TOO_MANY);
  // A character outside of the basic plane counts once, as in Postgres.
  for (const character of ["x", "\u{1f600}"]) {
    const longest = character.repeat(GROUP_ID_LENGTH_MAX);
    deepEqual(await groupsOf(longest), [longest]);
    deepEqual(await groupsOf(longest + character), TOO_MANY);
  }
});

Deno.test("[V3] a token says when it was issued", async () => {
  const issuedAt = async (iat: unknown) => {
    const verdict = await verify({ iat });
    return verdict.ok ? verdict.issuedAt : verdict.why;
  };
  equal(await issuedAt(undefined), 0);
  equal(await issuedAt(1_700_000_000.5), 1_700_000_000.5);
  equal(await issuedAt(-5), 0);
  deepEqual(
    await issuedAt(TOKEN_TIME_SECONDS_MAX + 1),
    withDetail(
      DISCONNECT.tokenClaimInvalid,
      "iat",
      "a number of seconds since 1970, not milliseconds",
    ),
  );
});

Deno.test("[V3] a token that is issued in the future is refused, because no other would change the groups until then", async () => {
  const issuedIn = async (seconds: number, groupsClaim?: string) => {
    const iat = Math.floor(Date.now() / 1_000) + seconds;
    const verdict = await verify(
      { iat },
      groupsClaim === undefined ? {} : { groupsClaim },
    );
    return verdict.ok || verdict.why;
  };
  const ahead = TOKEN_ISSUED_AHEAD_SECONDS_MAX;
  equal(await issuedIn(ahead - 1, "team"), true);
  deepEqual(
    await issuedIn(ahead + 30, "team"),
    DISCONNECT.tokenNotValidYet,
  );
  equal(await issuedIn(ahead + 30), true);
});
