import { deepEqual, equal } from "node:assert/strict";
import { clientAddress } from "../../../src/access/client_address.ts";

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
    ["::1", "2001:db8::7", "2001:db8:0:0::/64"],
    ["2001:DB8:1:2:3:4:5:6", "1.1.1.1", "2001:db8:1:2::/64"],
    ["fe80::1%eth0", null, "fe80:0:0:0::/64"],
    ["9:9::", null, "9:9:0:0::/64"],
    ["::ffff:9.9.9.9", null, "9.9.9.9"],
    ["::ffff:10.0.0.1", "1.1.1.1:4711", "1.1.1.1"],
    ["10.0.0.1", "[2001:db8::7]:4711", "2001:db8:0:0::/64"],
    ["10.0.0.1", "::ffff:6.6.6.6", "6.6.6.6"],
    ["10.0.0.1", null, "10.0.0.1"],
    ["10.0.0.1", "nonsense", "10.0.0.1"],
    ["10.0.0.1", "nonsense, 10.0.0.2", "10.0.0.2"],
    ["10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
  ] as const
) {
  Deno.test(`from ${peer} with X-Forwarded-For ${header}, the client is ${client}`, () => {
    equal(trusted(peer, { get: () => header }), client);
  });
}

Deno.test("without trusted proxies X-Forwarded-For is ignored", () => {
  const plain = (peer: string) =>
    clientAddress([])(peer, { get: () => "1.1.1.1" });
  equal(plain("127.0.0.1"), "127.0.0.1");
  equal(plain("::1"), "0:0:0:0::/64");
  equal(plain("::ffff:9.9.9.9"), "9.9.9.9");
});

Deno.test("X-Forwarded-For from a peer that is not trusted is reported once", () => {
  for (
    const proxies of [[], [
      { address: "10.0.0.0", prefix: 8, family: "ipv4" },
    ]] as const
  ) {
    const reported: string[] = [];
    const read = clientAddress(proxies, (peer) => void reported.push(peer));
    read("192.0.2.1", { get: () => null });
    deepEqual(reported, []);
    read("::ffff:192.0.2.1", { get: () => "1.1.1.1" });
    read("192.0.2.2", { get: () => "1.1.1.1" });
    deepEqual(reported, ["192.0.2.1"]);
  }
});

Deno.test("X-Forwarded-For from a trusted proxy is not reported", () => {
  const proxies = [
    { address: "10.0.0.0", prefix: 8, family: "ipv4" },
  ] as const;
  const reported: string[] = [];
  const read = clientAddress(proxies, (peer) => void reported.push(peer));
  equal(read("10.0.0.1", { get: () => "6.6.6.6, 1.1.1.1" }), "1.1.1.1");
  deepEqual(reported, []);
});
