/**
 * Which address a request comes from, also behind proxies.
 *
 * `X-Forwarded-For` is what anybody may write: it is believed only as far as trusted proxies
 * wrote it, which is from the right.
 *
 * @module
 */
import { BlockList, isIP } from "node:net";
import type { Network } from "./environment.ts";

/** From the address of the peer, and the header if there is one. */
export type ClientAddress = (
  peer: string,
  forwardedFor: string | null,
) => string;

export function clientAddress(trusted: readonly Network[]): ClientAddress {
  if (trusted.length === 0) return (peer) => peer;
  const proxies = new BlockList();
  for (const { address, prefix, family } of trusted) {
    proxies.addSubnet(address, prefix, family);
  }
  const isTrusted = (address: string) => {
    const version = isIP(address);
    if (version === 0) return false;
    return proxies.check(address, version === 4 ? "ipv4" : "ipv6");
  };
  return (peer, forwardedFor) => {
    const hops = (forwardedFor ?? "").split(",").map((hop) => hop.trim());
    let address = peer;
    while (isTrusted(address)) {
      const before = hops.pop();
      // A proxy that names nothing usable stands for its clients itself.
      if (before === undefined || isIP(before) === 0) return address;
      address = before;
    }
    return address;
  };
}
