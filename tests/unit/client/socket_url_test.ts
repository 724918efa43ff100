/** The address that an application gives, in pages, frames and workers. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { Rollcall } from "../../../src/client/client.ts";
import type { Platform } from "../../../src/client/platform.ts";
import { toSocketUrl } from "../../../src/client/socket_url.ts";
import { TIMING } from "../../../src/client/timing.ts";
import { FakePlatform } from "./fake_platform.ts";

const PAGE = "https://app.example/page/";

const urlIn = (environment: object, url: string | URL) =>
  toSocketUrl(url, { URL, ...environment } as unknown as Platform);

const environments: Record<string, object> = {
  "a page": {
    document: { baseURI: PAGE },
    location: { href: PAGE },
    origin: "https://app.example",
  },
  "a worker": { location: { href: PAGE }, origin: "https://app.example" },
  "a frame with srcdoc": {
    document: { baseURI: PAGE },
    location: { href: "about:srcdoc" },
    origin: "https://app.example",
  },
};

for (const [name, environment] of Object.entries(environments)) {
  Deno.test(`in ${name} the URL may be relative`, () => {
    const urls = ["/ws", "ws", "//presence.example/ws", "?a=1#b"];
    deepEqual(urls.map((url) => urlIn(environment, url)), [
      "wss://app.example/ws",
      "wss://app.example/page/ws",
      "wss://presence.example/ws",
      "wss://app.example/page/?a=1",
    ]);
  });
}

Deno.test("in a worker from a blob: URL the URL may be relative to the origin", () => {
  const environment = {
    location: { href: "blob:https://app.example/5e5-8" },
    origin: "https://app.example",
  };
  equal(urlIn(environment, "/ws"), "wss://app.example/ws");
});

Deno.test("a page from https: cannot use ws:, except on its own machine, and says so at once", () => {
  const { "a page": page = {} } = environments;
  const expected =
    'Cannot connect to "ws://presence.example/ws": expected wss:, because this page is https:';
  throws(() => urlIn(page, "ws://presence.example/ws"), {
    ...{ name: "TypeError", message: expected },
  });
  throws(() => urlIn(page, "http://localhost.example/ws"), /expected wss:/);
  for (
    const url of [
      "ws://localhost:8000/ws",
      "ws://app.localhost/ws",
      "ws://127.0.0.1:8000/ws",
      "ws://[::1]/ws",
    ]
  ) equal(urlIn(page, url), url);
  equal(
    urlIn({ origin: "http://app.example" }, "ws://presence.example/ws"),
    "ws://presence.example/ws",
  );
  equal(urlIn({}, new URL("http://a.example/ws")), "ws://a.example/ws");
});

Deno.test("an absolute URL keeps its path where URL adds a slash, as in React Native", () => {
  class SlashedUrl {
    readonly href: string;
    constructor(url: string) {
      this.href = `${url}/`;
    }
  }
  const url = "https://presence.example/ws";
  equal(urlIn({ URL: SlashedUrl }, url), "wss://presence.example/ws");
});

Deno.test("where there is no WebSocket, connect says so", () => {
  const platform = new FakePlatform();
  Object.assign(platform, { WebSocket: undefined });
  throws(
    () => new Rollcall("wss://a.example/ws", { token: "t" }, TIMING, platform),
    {
      name: "TypeError",
      message:
        "Cannot connect: expected a WebSocket, as in browsers, Deno, and Node 22 or newer; set the option WebSocket, for example to that of the package ws",
    },
  );
});
