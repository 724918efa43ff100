/**
 * The demo's page, as people use it: real Chromium, a real server, two tabs.
 *
 * Where the order of events matters, the page's requests are held back or its socket is
 * played by the test; everything else is real.
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { query } from "../support/database.ts";
import { startServer } from "../support/server.ts";
import {
  gate,
  pageTests,
  playSocket,
  say,
  scratchFolder,
} from "../support/tab.ts";
import { until } from "../support/until.ts";

const tests = pageTests();

tests.test("[P2][P4] two tabs see each other come and go", async () => {
  await using ada = await tests.open("?user=ada");
  await ada.connected();
  await ada.listShows(["ada"]);
  {
    await using bob = await tests.open("?user=bob");
    await bob.connected();
    await bob.listShows(["ada", "bob"]);
    await ada.listShows(["ada", "bob"]);
    await ada.logShows("bob came online");
    const since = bob.page.locator("#online .since").first();
    await until(
      "ada's row tells since when",
      async () => /^since \d\d:\d\d/.test(await since.textContent() ?? ""),
    );
  }
  await ada.listShows(["ada"]);
  await ada.logShows("bob went offline");
});

tests.test("[P3] a second tab of the same user is no news", async () => {
  await using ada = await tests.open("?user=ada");
  await using _first = await tests.open("?user=bob");
  await ada.listShows(["ada", "bob"]);
  {
    await using second = await tests.open("?user=bob");
    await second.connected();
  }
  // Transitions come in order, so with chen there, what the tab might have caused is over.
  await using _chen = await tests.open("?user=chen");
  await ada.listShows(["ada", "bob", "chen"]);
  deepEqual(await ada.log(/bob/), ["bob came online"]);
});

tests.test(
  "[P6] after a reload of one tab the other's list is right",
  async () => {
    await using ada = await tests.open("?user=ada");
    await using bob = await tests.open("?user=bob");
    await ada.listShows(["ada", "bob"]);
    await bob.page.reload();
    await bob.connected();
    await bob.listShows(["ada", "bob"]);
    await using chen = await tests.open("?user=chen");
    await chen.connected();
    await ada.listShows(["ada", "bob", "chen"]);
  },
);

tests.test("[P8] with a grace, a reload never shows in the other's list", async () => {
  await using calm = await startServer({ env: { OFFLINE_GRACE_MS: "10000" } });
  const { url } = calm;
  await using ada = await tests.open("?user=ada", { url });
  await using bob = await tests.open("?user=bob", { url });
  await ada.listShows(["ada", "bob"]);
  await ada.page.evaluate(`
    globalThis.lists = new Set();
    new MutationObserver(() => {
      const names = [...document.querySelectorAll("#online .name")];
      lists.add(names.map(({ textContent }) => textContent).join());
    }).observe(document.getElementById("online"), { childList: true });
  `);
  await bob.page.reload();
  await bob.connected();
  await using chen = await tests.open("?user=chen", { url });
  await chen.connected();
  await ada.listShows(["ada", "bob", "chen"]);
  deepEqual(await ada.page.evaluate("[...lists]"), ["ada,bob,chen"]);
  deepEqual(await ada.log(/bob/), ["bob came online"]);
});

tests.test("who is not connected still sees who is online", async () => {
  await using viewer = await tests.open("");
  await viewer.stateMatches(/^Not connected$/);
  {
    await using bob = await tests.open("?user=bob");
    await bob.connected();
    await viewer.listShows(["bob"]);
    match(
      await viewer.page.locator("#freshness").textContent() ?? "",
      /every 3 s/,
    );
  }
  await viewer.listShows([]);
});

tests.test("the page works without a mouse", async () => {
  await using tab = await tests.open("");
  await tab.page.context().grantPermissions([
    "clipboard-read",
    "clipboard-write",
  ]);
  const { keyboard } = tab.page;
  const focused = () =>
    tab.page.evaluate<string>("document.activeElement.textContent.trim()");
  const tabTo = async (words: RegExp) => {
    for (let presses = 0; presses < 20; presses++) {
      await keyboard.press("Tab");
      if (words.test(await focused())) return;
    }
    throw new Error(`Tab does not lead to ${words}`);
  };
  await tab.page.locator("#connect:enabled").waitFor();
  await keyboard.press("Tab");
  await keyboard.type("dora");
  await tabTo(/^Connect$/);
  await keyboard.press("Enter");
  await tab.stateMatches(/^Connected as dora$/);
  await tab.listShows(["dora"]);
  equal(await focused(), "Disconnect");
  await tabTo(/^\+5 simulated users$/);
  await keyboard.press("Enter");
  await tab.countIs("4 or more", (count) => count >= 4);
  await tabTo(/^Remove all/);
  await keyboard.press("Space");
  await tab.listShows(["dora"]);
  await tabTo(/^Copy the command for the list$/);
  await keyboard.press("Enter");
  await until("it says so", async () => /^Copied/.test(await focused()));
  equal(await tab.page.locator("#spoken").textContent(), "Copied");
  equal(
    await tab.page.evaluate("navigator.clipboard.readText()"),
    `curl ${tests.server.url}users/online`,
  );
  await tab.page.locator("#connect").focus();
  await keyboard.press("Enter");
  await tab.stateMatches(/^Not connected$/);
  equal(await focused(), "Connect");
  await tab.logShows("You disconnected");
  deepEqual(await tab.log(/^You /), [
    "You disconnected",
    "You connected as dora",
  ]);
});

tests.test("a username is text, whatever is in it", async () => {
  await using folder = await scratchFolder();
  await using demo = await startServer({ cwd: folder.path });
  const name = `</script><img src=x onerror=alert(1)> "quotes" \u{1F600}`;
  const url = (await Deno.readTextFile(`${folder.path}/.data/url`)).trim();
  await query(url, "update users set username = $1 where id = 2", [name]);
  await using ada = await tests.open("?user=ada", { url: demo.url });
  await ada.connected();
  {
    await using bob = await tests.open("?user=bob", { url: demo.url });
    await bob.connected();
    await ada.listShows(["ada", name]);
    await ada.logShows(`${name} came online`);
    await until(
      "it is spoken",
      async () =>
        (await ada.page.locator("#spoken").textContent())?.includes(name),
    );
  }
  await ada.logShows(`${name} went offline`);
  equal(await ada.page.locator("img").count(), 0);
});

tests.test("what the server says of itself is text, too", async () => {
  const socket = playSocket((socket, nth) => {
    say(socket, { type: "presence_state", seq: 1, users: [] });
    if (nth === 0) socket.close({ code: 1013, reason: "<img src=x>" });
  });
  await using ada = await tests.open("?user=ada", socket);
  await ada.logShows("Your connection ended: <img src=x> (1013)");
  equal(await ada.page.locator("img").count(), 0);
});

tests.test("whoever disconnects while connecting stays so", async () => {
  const token = gate("**/demo/token*");
  let sockets = 0;
  await using tab = await tests.open("", token);
  tab.page.on("websocket", () => sockets += 1);
  const button = tab.page.locator("#connect:enabled");
  await button.click();
  await token.held;
  await button.click();
  token.open();
  // Once the second connection is there, the first is not merely late.
  await tab.page.locator("#user").selectOption("bob");
  await button.click();
  await tab.stateMatches(/^Connected as bob$/);
  await tab.logShows("You connected as bob");
  deepEqual(await tab.log(/^You /), [
    "You connected as bob",
    "You disconnected",
  ]);
  equal(sockets, 1);
});

tests.test("what can be copied works", async () => {
  await using ada = await tests.open("?user=ada");
  await ada.connected();
  const text = async (id: string) =>
    await ada.page.locator(`#${id}`).textContent() ?? "";
  await ada.page.evaluate(
    `(async () => { ${await text("snippet-browser")} })()`,
  );
  await ada.listShows(["ada", "bob"]);
  const [, url = ""] = /'(ws:.+)'$/.exec(await text("snippet-wscat")) ?? [];
  const socket = new WebSocket(url, "rollcall.v2");
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.onmessage = ({ data }) => resolve(data);
  match(await promise, /^{"type":"presence_state",/);
  socket.close();
  const list = await fetch((await text("snippet-curl")).replace("curl ", ""));
  equal((await list.json()).online_users.length, 2);
});

for (const width of [390, 1_280]) {
  tests.test(`nothing is wider than a window of ${width} pixels`, async () => {
    await using ada = await tests.open("?user=ada", {
      prepare: (page) => page.setViewportSize({ width, height: 844 }),
    });
    await ada.connected();
    const room =
      "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    equal(await ada.page.evaluate(room), 0);
  });
}
