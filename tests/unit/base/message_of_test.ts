import { equal } from "node:assert/strict";
import { messageOf } from "../../../src/base/message_of.ts";

Deno.test("the message of a fault says its causes too, and none of them twice", () => {
  const refused = new Error("connection refused");
  equal(
    messageOf(new TypeError("fetch failed", { cause: refused })),
    "fetch failed: connection refused",
  );
  const repeated = `cannot fetch: ${refused.message}`;
  equal(messageOf(new Error(repeated, { cause: refused })), repeated);
  equal(messageOf(new Error("no cause", { cause: null })), "no cause");
  equal(messageOf("a text"), "a text");
  equal(messageOf(new AggregateError([refused, "b"])), "connection refused, b");
});
