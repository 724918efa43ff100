/**
 * The hosts of a database. `DATABASE_URL` may name several, of which one takes writes, and after a
 * failover another one.
 *
 * All connections of the process go to the host that took the last one. A connection that fails
 * moves all later ones on to the next host. How to find out that a host takes no writes is not
 * known here.
 *
 * @module
 */

/** The values of libpq's `target_session_attrs` with which a connection may end at a host that takes writes. */
export const WRITABLE_TARGETS = ["read-write", "primary", "any"];

/**
 * One URL for each host of a URL. As libpq has it, they are separated by commas: `h1:5432,h2:5433`
 * before the path, or `?host=h1,h2&port=5432,5433`.
 */
export function hostUrls(url: string): string[] {
  const [, start = "", user = "", hosts = "", rest = ""] =
    /^(\w+:\/\/)([^/?#]*@)?([^/?#]*)(.*)$/s.exec(url) ?? [];
  const [path = "", search = ""] = rest.split("?", 2);
  const query = new URLSearchParams(search);
  const names = query.get("host")?.split(",") ?? [];
  if (names.length > 1) {
    const ports = query.get("port")?.split(",") ?? [];
    return names.map((name, index) => {
      query.set("host", name);
      const port = ports[ports.length === 1 ? 0 : index];
      if (port) query.set("port", port);
      return `${start}${user}${hosts}${path}?${query}`;
    });
  }
  const list = hosts.split(",");
  if (list.length === 1) return [url];
  return list.map((host) => `${start}${user}${host}${rest}`);
}

export class Hosts {
  readonly #urls: readonly (string | undefined)[];
  #current = 0;

  constructor(url: string | undefined) {
    this.#urls = url === undefined ? [undefined] : hostUrls(url);
  }

  get count(): number {
    return this.#urls.length;
  }

  /** The URL for the next connection. `undefined`: the `PG*` variables have it. */
  get current(): string | undefined {
    return this.#urls[this.#current];
  }

  /** Moves on to the next host, unless another connection did so already. */
  leave(host: string | undefined): void {
    if (host !== this.current) return;
    this.#current = (this.#current + 1) % this.count;
  }
}

const hostsByUrl = new Map<string | undefined, Hosts>();

/** The hosts of a database, the same object for all connections to it. */
export function hostsOf(url: string | undefined): Hosts {
  const hosts = hostsByUrl.get(url) ?? new Hosts(url);
  hostsByUrl.set(url, hosts);
  return hosts;
}
