import { deepEqual, ok } from "node:assert/strict";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../../../src/protocol/disconnect.ts";

const disconnects: [string, Disconnect][] = Object.entries(DISCONNECT);

Deno.test("every close reason fits into a close frame, with the longest detail", () => {
  for (const [name, disconnect] of disconnects) {
    const { reason } = withDetail(disconnect, "1234567890");
    ok(new TextEncoder().encode(reason).length <= 123, name);
  }
});

Deno.test("no two disconnects have the same close code and reason", () => {
  const sent = disconnects.map(([, { code, reason }]) => `${code} ${reason}`);
  deepEqual([...new Set(sent)], sent);
});

Deno.test("a detail replaces the placeholder of a reason", () => {
  deepEqual(withDetail(DISCONNECT.tokenClaimMissing, "exp"), {
    code: 1008,
    reason: "token has no exp claim",
  });
});
