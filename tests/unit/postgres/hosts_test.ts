import { deepEqual, equal } from "node:assert/strict";
import { Hosts, hostsOf, hostUrls } from "../../../src/postgres/hosts.ts";

/** The URLs of the hosts, by the URL that names them. */
const cases: Record<string, string[]> = {
  "postgres://a@h/d": ["postgres://a@h/d"],
  "postgres://a:p@h1:1,h2:2,h3/d?x=1": [
    "postgres://a:p@h1:1/d?x=1",
    "postgres://a:p@h2:2/d?x=1",
    "postgres://a:p@h3/d?x=1",
  ],
  "postgresql://h1,[::1]:2/d": ["postgresql://h1/d", "postgresql://[::1]:2/d"],
  // Commas in a password and in the name of a database separate nothing.
  "postgres://a:p,q@h/d,e?application_name=x,y": [
    "postgres://a:p,q@h/d,e?application_name=x,y",
  ],
  "postgres:///d?host=h1,h2&port=1,2&user=a": [
    "postgres:///d?host=h1&port=1&user=a",
    "postgres:///d?host=h2&port=2&user=a",
  ],
  "postgres://a@/d?host=h1,h2&port=7": [
    "postgres://a@/d?host=h1&port=7",
    "postgres://a@/d?host=h2&port=7",
  ],
  "postgres:///d?host=/run/pg": ["postgres:///d?host=/run/pg"],
};

for (const [url, urls] of Object.entries(cases)) {
  Deno.test(`the hosts of ${url}`, () => {
    deepEqual(hostUrls(url), urls);
  });
}

Deno.test("a host that failed is left once, however many of its connections fail", () => {
  const [first = "", second = "", third = ""] = hostUrls("postgres://1,2,3/d");
  const hosts = new Hosts("postgres://1,2,3/d");
  equal(hosts.count, 3);
  equal(hosts.current, first);
  hosts.leave(first);
  hosts.leave(first);
  equal(hosts.current, second);
  hosts.leave(second);
  equal(hosts.current, third);
  hosts.leave(third);
  equal(hosts.current, first);
});

Deno.test("all connections to a database agree on its host", () => {
  const url = "postgres://1,2/agreed";
  hostsOf(url).leave(hostsOf(url).current);
  equal(hostsOf(url).current, "postgres://2/agreed");
  equal(hostsOf(undefined).current, undefined);
});
