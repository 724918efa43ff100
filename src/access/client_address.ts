/**
 * Which address a request comes from, also behind proxies.
 *
 * `X-Forwarded-For` is what anybody may write: it is believed only as far as trusted proxies
 * wrote it, which is from the right.
 *
 * @module
 */
import { BlockList, isIP } from "node:net";

/** Some addresses: those that share the first `prefix` bits. */
export interface Network {
  readonly address: string;
  readonly prefix: number;
  readonly family: "ipv4" | "ipv6";
}

/** From the address of the peer, and the headers, which are only looked at where proxies are trusted. */
export type ClientAddress = (
  peer: string,
  headers: Pick<Headers, "get">,
) => string;

export function clientAddress(trusted: readonly Network[]): ClientAddress {
  if (trusted.length === 0) return (peer) => counted(unmapped(peer));
  const proxies = new BlockList();
  for (const { address, prefix, family } of trusted) {
    proxies.addSubnet(address, prefix, family);
  }
  const isTrusted = (address: string) => {
    const version = isIP(address);
    if (version === 0) return false;
    return proxies.check(address, version === 4 ? "ipv4" : "ipv6");
  };
  return (peer, headers) => {
    const hops = (headers.get("x-forwarded-for") ?? "").split(",");
    let address = unmapped(peer);
    while (isTrusted(address)) {
      const before = withoutPort(hops.pop()?.trim() ?? "");
      // A proxy that names nothing usable stands for its clients itself.
      if (isIP(before) === 0) break;
      address = unmapped(before);
    }
    return counted(address);
  };
}

/** Some proxies add the client's port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  return /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1] ??
    /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
}

/** `::ffff:192.0.2.1` is `192.0.2.1`. */
function unmapped(address: string): string {
  return /^::ffff:([\d.]+)$/i.exec(address)?.[1] ?? address;
}

/** Of IPv6 the network: whoever has one address there has 2^64. */
function counted(address: string): string {
  if (isIP(address) !== 6) return address;
  const { hostname } = new URL(`http://[${address.split("%")[0]}]`);
  const [head = "", tail] = hostname.slice(1, -1).split("::");
  const groups = head === "" ? [] : head.split(":");
  const missing = tail === undefined
    ? 0
    : 8 - groups.length - (tail === "" ? 0 : tail.split(":").length);
  const all = [...groups, ...Array(missing).fill("0")];
  return `${all.slice(0, 4).join(":")}::/64`;
}
