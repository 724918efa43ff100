/** The client library in an application's page, and what only browsers do to it. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { connectWith, socketUrl } from "../support/client.ts";
import { startFront } from "../support/front.ts";
import { pageTests } from "../support/tab.ts";
import { pause, until, untilEqual } from "../support/until.ts";

const tests = pageTests();

/** @param timing What differs from the library's own, as JavaScript. */
const pageWith = (timing = "{}") =>
  `<!DOCTYPE html>
<title>An application</title>
<a id="download" href="/file">Download</a>
<a id="nothing" href="/nothing">Nothing</a>
<script type="module">
  import { Rollcall } from "/client.js";
  import { TIMING } from "/client/timing.js";
  // From elsewhere: a token from this server would show that it does not answer.
  const { token } = await (await fetch("/demo/token?user=ada")).json();
  globalThis.ends = [];
  const timing = { ...TIMING, ...${timing} };
  globalThis.rollcall = new Rollcall("/ws", { token }, timing);
  rollcall.on("connection", (info) => {
    if (info.state !== "connecting" && info.state !== "connected") ends.push(info);
  });
</script>`;

interface Ending {
  readonly state: string;
  readonly code?: number;
  readonly reason?: string;
  readonly retryMs?: number;
}

/** A page of an application with a client, on the demo's server. */
async function openApplication(timing?: string) {
  const html = { "content-type": "text/html" };
  const front = await startFront({
    url: tests.server.url,
    answer: (_method, path) => {
      if (path === "/application") {
        return new Response(pageWith(timing), { headers: html });
      }
      if (path === "/elsewhere") {
        return new Response("<title>Elsewhere</title>", { headers: html });
      }
      if (path === "/nothing") return new Response(null, { status: 204 });
      if (path !== "/file") return;
      const disposition = { "content-disposition": "attachment" };
      return new Response("content", { headers: disposition });
    },
  });
  const tab = await tests.open("application", front);
  const { page } = tab;
  return {
    ...{ front, tab, page },
    connected: () =>
      until("the client is connected", () =>
        page.evaluate<boolean>(
          'globalThis.rollcall?.connection.state === "connected"',
        )),
    names: () =>
      page.evaluate<string[]>(
        "Array.from(rollcall.users.values(), ({ username }) => username)",
      ),
    ends: () => page.evaluate<Ending[]>("ends"),
    [Symbol.asyncDispose]: async () => {
      await tab[Symbol.asyncDispose]();
      await front[Symbol.asyncDispose]();
    },
  };
}

/** The names that the server lists. */
async function listed(): Promise<string[]> {
  const response = await fetch(`${tests.server.url}users/online`);
  const { online_users } = await response.json();
  return online_users.map(({ username }: { username: string }) => username);
}

async function connectBob() {
  const url = `${tests.server.url}demo/token?user=bob`;
  const { token } = await (await fetch(url)).json();
  return await connectWith(new WebSocket(socketUrl(tests.server.url, token)));
}

tests.test("a page that the user leaves is offline at once, and connected again when the user goes back", async () => {
  await using application = await openApplication();
  await application.connected();
  const { front, page } = application;
  await untilEqual("the user is listed", listed, ["ada"]);
  await page.evaluate("void (globalThis.isMarked = true)");
  await page.goto(`${front.url}elsewhere`);
  await untilEqual("the user is offline", listed, []);
  await using bob = await connectBob();
  await page.back();
  await application.connected();
  await untilEqual("the list is current", application.names, ["ada", "bob"]);
  // Firefox does not keep a page that has a socket.
  const isKept = await page.evaluate<boolean>("globalThis.isMarked === true");
  equal(isKept, tests.browser !== "Firefox");
  await bob.close();
  await untilEqual("the list is current", application.names, ["ada"]);
});

/**
 * Firefox closes every socket when a navigation begins, also one that leads to no page. Each time
 * the page is back within a second, however often it happens.
 */
tests.test("downloads and links without a page never make the pauses before a reconnect longer", async () => {
  await using application = await openApplication();
  const { tab } = application;
  for (let round = 0; round < 4; round++) {
    for (const link of ["#download", "#nothing"]) {
      await application.connected();
      const before = (await application.ends()).length;
      await tab.click(link);
      if (tests.browser !== "Firefox") continue;
      await until(
        "Firefox has closed the socket",
        async () => (await application.ends()).length > before,
      );
    }
  }
  await application.connected();
  const ends = await application.ends();
  equal(ends.length, tests.browser === "Firefox" ? 8 : 0);
  for (const { code, reason, retryMs = Infinity } of ends) {
    deepEqual([code, reason], [1001, "the browser closed the connection"]);
    ok(retryMs <= 1_000, `${retryMs} ms`);
  }
});

/**
 * Firefox delays sockets to a host where several failed, by up to a minute and in all tabs. So
 * there the client opens none while the server does not answer.
 */
tests.test("after an outage the client connects as soon as the server answers", async () => {
  await using application = await openApplication("{ backoffMaxMs: 1_000 }");
  await application.connected();
  const { front, page } = application;
  await untilEqual(
    "Firefox has asked the server",
    () => Promise.resolve(front.paths.includes("/healthz")),
    tests.browser === "Firefox",
  );
  front.setDown(true);
  const before = front.paths.length;
  const tries = () => front.paths.slice(before);
  await until("the client has tried ten times", () => tries().length >= 10);
  const sockets = tries().filter((path) => path === "/ws").length;
  if (tests.browser === "Firefox") ok(sockets <= 1, `${sockets} sockets`);
  front.setDown(false);
  const upAt = performance.now();
  await application.connected();
  const backMs = performance.now() - upAt;
  ok(backMs < 10_000, `${backMs} ms`);
  await untilEqual("the list is current", application.names, ["ada"]);
  await page.evaluate("rollcall.close()");
});

/** WebKit handles a timer that is late before the messages that came meanwhile. */
tests.test("a page that was blocked for longer than the server may be silent keeps its connection", async () => {
  await using application = await openApplication(
    "{ quietMs: 1_000, silenceMs: 2_000, checkMs: 500 }",
  );
  await application.connected();
  const { page } = application;
  const blockedMs = 6_000;
  await page.evaluate(`void setTimeout(() => {
    const end = Date.now() + ${blockedMs};
    while (Date.now() < end);
    globalThis.wasBlocked = true;
  })`);
  for (let arrivals = 0; arrivals < 3; arrivals++) {
    await using _bob = await connectBob();
    await untilEqual("bob is listed", listed, ["ada", "bob"]);
  }
  await until(
    "the page goes on",
    () => page.evaluate<boolean>("globalThis.wasBlocked === true"),
  );
  // Longer than the client waits until it believes that the server is silent.
  await pause(4_000);
  deepEqual(await application.ends(), []);
  await untilEqual("the list is current", application.names, ["ada"]);
});
