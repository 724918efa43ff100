import { deepEqual, ok } from "node:assert/strict";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../../../../src/client/protocol/disconnect.ts";

const disconnects: [string, Disconnect][] = Object.entries(DISCONNECT);

Deno.test("every close reason fits into a close frame, with the longest detail", () => {
  for (const [name, disconnect] of disconnects) {
    const { reason } = withDetail(disconnect, "1234567890", "1".repeat(40));
    ok(new TextEncoder().encode(reason).length <= 123, name);
  }
});

Deno.test("no two disconnects have the same close code and reason", () => {
  const sent = disconnects.map(([, { code, reason }]) => `${code} ${reason}`);
  deepEqual([...new Set(sent)], sent);
});

Deno.test("details replace the placeholders of a reason, in their order", () => {
  deepEqual(withDetail(DISCONNECT.tokenClaimInvalid, "exp", "<a number>"), {
    code: 1008,
    reason: "token claim exp: expected <a number>",
    template: "token claim <claim>: expected <what>",
  });
});

Deno.test("a reason that is too long for a close frame is cut between two characters", () => {
  for (const pad of ["", "a", "ab", "abc"]) {
    const claim = pad + "\u{1f600}".repeat(50);
    const { reason } = withDetail(DISCONNECT.tokenClaimInvalid, claim, "x");
    const bytes = new TextEncoder().encode(reason).length;
    ok(bytes <= 123 && bytes > 119, `${bytes} bytes`);
    ok(!reason.includes("\ufffd"));
    ok(reason.startsWith(`token claim ${pad}`) && reason.endsWith("..."));
  }
});
