import { equal } from "node:assert/strict";
import { clientAddress } from "../src/client_address.ts";

const trusted = clientAddress([
  { address: "10.0.0.0", prefix: 8, family: "ipv4" },
  { address: "::1", prefix: 128, family: "ipv6" },
]);

for (
  const [peer, header, client] of [
    ["9.9.9.9", null, "9.9.9.9"],
    ["9.9.9.9", "1.1.1.1", "9.9.9.9"],
    ["10.0.0.1", "1.1.1.1", "1.1.1.1"],
    ["10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"],
    ["10.0.0.1", "6.6.6.6, 1.1.1.1, 10.9.9.9", "1.1.1.1"],
    ["::1", "2001:db8::7", "2001:db8::7"],
    ["10.0.0.1", null, "10.0.0.1"],
    ["10.0.0.1", "nonsense", "10.0.0.1"],
    ["10.0.0.1", "nonsense, 10.0.0.2", "10.0.0.2"],
    ["10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
  ] as const
) {
  Deno.test(`from ${peer} with X-Forwarded-For ${header}, the client is ${client}`, () => {
    equal(trusted(peer, header), client);
  });
}

Deno.test("without trusted proxies the header is not believed", () => {
  equal(clientAddress([])("127.0.0.1", "1.1.1.1"), "127.0.0.1");
});
