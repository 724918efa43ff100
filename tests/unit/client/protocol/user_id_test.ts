import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import {
  formatIdList,
  parseIdList,
  USER_ID_LENGTH_MAX,
  USER_ID_TYPES,
  type UserId,
  userIds,
} from "../../../../src/client/protocol/user_id.ts";

const UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";

Deno.test("[U3] integers are read from numbers and decimal text, up to the type's largest", () => {
  const largest = {
    smallint: 32_767,
    integer: 2_147_483_647,
    bigint: 9_007_199_254_740_991,
  };
  for (const type of ["smallint", "integer", "bigint"] as const) {
    const { parse } = userIds(type);
    const max = largest[type];
    for (const value of [1, "1", max, String(max)]) {
      equal(parse(value), Number(value));
    }
    const wrong = [0, -1, 1.5, max + 1, "0", "01", "1.0", "+1", " 1", "1 "];
    for (
      const value of [...wrong, "", "1e3", NaN, null, undefined, true, [], {}]
    ) {
      equal(parse(value), undefined, JSON.stringify(value));
    }
  }
});

Deno.test("[U3] as JSON text, integers are canonical decimal text, also beyond 2^53", () => {
  const { parse, parseJson, compare } = userIds("bigint", "string");
  equal(parse("9223372036854775807"), "9223372036854775807");
  equal(parse("9223372036854775808"), undefined);
  equal(parse(7), "7");
  equal(parseJson("7"), "7");
  equal(parseJson(7), undefined);
  const sorted = ["9", "10", "9007199254740993", "9007199254740992"].sort(
    compare,
  );
  deepEqual(sorted, ["9", "10", "9007199254740992", "9007199254740993"]);
});

Deno.test("[U3] a UUID is read in any case, and is lower case from then on", () => {
  const { parse } = userIds("uuid");
  equal(parse(UUID.toUpperCase()), UUID);
  for (
    const wrong of [
      "",
      UUID.slice(1),
      `{${UUID}}`,
      UUID.replaceAll("-", ""),
      `${UUID}\n`,
      7,
    ]
  ) {
    equal(parse(wrong), undefined);
  }
});

Deno.test("[U3] text is what Postgres can store and JSON can carry, of bounded length", () => {
  const { parse } = userIds("text");
  const grin = "\u{1f600}";
  for (const right of ["0", " ", "a,b", grin.repeat(USER_ID_LENGTH_MAX)]) {
    equal(parse(right), right);
  }
  const long = grin.repeat(USER_ID_LENGTH_MAX + 1);
  for (const wrong of ["", "a\0b", "\ud800", long, 7, null]) {
    equal(parse(wrong), undefined);
  }
});

Deno.test("[U3] in JSON an id has one form", () => {
  equal(userIds("integer").parseJson("7"), undefined);
  equal(userIds("integer").parseJson(7), 7);
  equal(userIds("text").parseJson(7), undefined);
});

Deno.test("[U3] text is ordered by code point, as Postgres orders presence", () => {
  const { compare } = userIds("text");
  fc.assert(
    fc.property(
      fc.string({ unit: "binary" }),
      fc.string({ unit: "binary" }),
      (a, b) => {
        const encoder = new TextEncoder();
        const [one, other] = [encoder.encode(a), encoder.encode(b)];
        // UTF-8 is in the order of the code points.
        let wanted = 0;
        for (
          let at = 0;
          wanted === 0 && at < Math.max(one.length, other.length);
          at++
        ) {
          wanted = (one[at] ?? -1) - (other[at] ?? -1);
        }
        equal(Math.sign(compare(a, b)), Math.sign(wanted));
      },
    ),
  );
});

/** Ids of every type, as a client gets them. */
const anyIds: Record<typeof USER_ID_TYPES[number], fc.Arbitrary<UserId>> = {
  smallint: fc.integer({ min: 1, max: 32_767 }),
  integer: fc.integer({ min: 1, max: 2_147_483_647 }),
  bigint: fc.maxSafeNat().map((n) => Math.max(n, 1)),
  uuid: fc.uuid(),
  text: fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 20 }),
    fc.stringMatching(/^[a,%*+ 0&=|]{1,8}$/),
  ).filter((text) => !text.includes("\0")),
};

for (const type of USER_ID_TYPES) {
  Deno.test(`[U3] a list of ids of type ${type} survives a query, and an id by itself also as URLSearchParams encodes it`, () => {
    const ids = userIds(type);
    fc.assert(
      fc.property(fc.uniqueArray(anyIds[type], { maxLength: 20 }), (list) => {
        const url = new URL(
          `http://node.example/ws?watch=${formatIdList(list)}`,
        );
        const raw = url.search.slice("?watch=".length);
        deepEqual(parseIdList(raw, ids, 40), new Set(list));
      }),
    );
    fc.assert(fc.property(anyIds[type], (id) => {
      const raw = String(new URLSearchParams({ ids: String(id) })).slice(4);
      const list = parseIdList(raw, ids, 40);
      ok(!("wrong" in list) && list.has(id));
    }));
  });
}

Deno.test("[L1] a list with more ids than allowed is refused before it is read", () => {
  const ids = userIds("integer");
  deepEqual(parseIdList("1,2,3", ids, 2), { wrong: undefined });
  deepEqual(parseIdList("1%2C2%2C3", ids, 2), { wrong: undefined });
  deepEqual(parseIdList("", ids, 2), new Set());
});

Deno.test("a list with something that is no id is refused with it", () => {
  const ids = userIds("integer");
  deepEqual(parseIdList("1,2,x", ids, 3), { wrong: "x" });
  deepEqual(parseIdList("1,,2", ids, 3), { wrong: "" });
  deepEqual(parseIdList("1%2Cx+y", ids, 3), { wrong: "x y" });
  const undecodable = { wrong: "%E0%A4%A" };
  deepEqual(parseIdList("%E0%A4%A", userIds("text"), 2), undecodable);
  deepEqual(parseIdList("a,%E0%A4%A", userIds("text"), 2), undecodable);
});
