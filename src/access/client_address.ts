/**
 * The client's address of a request, also behind proxies.
 *
 * Any client can send `X-Forwarded-For`, and each proxy appends the address of its own peer. So the
 * header is read from the right, and only the entries that trusted proxies wrote are used. The
 * limits of an address are not known here.
 *
 * @module
 */
import { BlockList, isIP } from "node:net";

/** The addresses that share their first `prefix` bits. */
export interface Network {
  readonly address: string;
  readonly prefix: number;
  readonly family: "ipv4" | "ipv6";
}

/**
 * Reads the client's address from the peer's address and the headers. IPv6 addresses are cut to
 * their network.
 */
export type ClientAddress = (
  peer: string,
  headers: Pick<Headers, "get">,
) => string;

/**
 * @param trusted Proxies whose `X-Forwarded-For` is used. None: the peer is the client.
 * @param onIgnored Called once, when the header first arrives from a peer that is not trusted. It
 *   may be a proxy whose clients then share one address.
 */
export function clientAddress(
  trusted: readonly Network[],
  onIgnored: (peer: string) => void = () => {},
): ClientAddress {
  const proxies = new BlockList();
  for (const { address, prefix, family } of trusted) {
    proxies.addSubnet(address, prefix, family);
  }
  const isTrusted = (address: string) => {
    const version = isIP(address);
    if (version === 0) return false;
    return proxies.check(address, version === 4 ? "ipv4" : "ipv6");
  };
  let isReported = false;
  return (peer, headers) => {
    const forwarded = headers.get("x-forwarded-for");
    let address = unmapped(peer);
    if (forwarded === null) return network(address);
    if (!isReported && !isTrusted(address)) {
      isReported = true;
      onIgnored(address);
    }
    const hops = forwarded.split(",");
    while (isTrusted(address)) {
      const before = withoutPort(hops.pop()?.trim() ?? "");
      // A proxy that names no address counts as the client.
      if (isIP(before) === 0) break;
      address = unmapped(before);
    }
    return network(address);
  };
}

/** Removes the client's port, which some proxies add: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  return /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1] ??
    /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
}

/** Makes `192.0.2.1` of `::ffff:192.0.2.1`. */
function unmapped(address: string): string {
  return /^::ffff:([\d.]+)$/i.exec(address)?.[1] ?? address;
}

/**
 * An IPv6 address as its /64 network, because a client with one address usually has all 2^64 of
 * that network. An IPv4 address stays as it is.
 */
function network(address: string): string {
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
