/**
 * The demo page as users use it: a real browser, a real server, two tabs.
 *
 * If the order of events matters, a server in front of the real one delays the page's requests, or
 * plays the server's end of its socket. Everything else is real.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { query } from "../support/database.ts";
import { scratchFolder } from "../support/scratch_folder.ts";
import { startServer } from "../support/server.ts";
import { gate, sendTo, startFront } from "../support/front.ts";
import { pageTests } from "../support/tab.ts";
import { until, untilEqual } from "../support/until.ts";

const tests = pageTests();

/** How far the page is wider than its window. */
const OVERFLOW =
  "document.documentElement.scrollWidth - document.documentElement.clientWidth";

tests.test("[P2][P4] each of two tabs shows when the other's user comes online and goes offline", async () => {
  await using ada = await tests.open("?user=ada");
  await ada.connected();
  await ada.listShows(["ada"]);
  {
    await using bob = await tests.open("?user=bob");
    await bob.connected();
    await bob.listShows(["ada", "bob"]);
    await ada.listShows(["ada", "bob"]);
    await ada.logShows("bob came online");
    await bob.shows("#online li:first-child .since", /^(just now|for \d+ s)$/);
  }
  await ada.listShows(["ada"]);
  await ada.logShows("bob went offline");
});

tests.test("[P3] a second tab of a user causes no event", async () => {
  await using ada = await tests.open("?user=ada");
  await using _first = await tests.open("?user=bob");
  await ada.listShows(["ada", "bob"]);
  {
    await using second = await tests.open("?user=bob");
    await second.connected();
  }
  // Transitions arrive in order: an event caused by the second tab would come before chen.
  await using _chen = await tests.open("?user=chen");
  await ada.listShows(["ada", "bob", "chen"]);
  await ada.logIs(/bob/, ["bob came online"]);
}, ["Chromium"]);

tests.test(
  "[P6] after a reload of one tab the list in the other tab is correct",
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

tests.test(
  "[P8] with OFFLINE_GRACE_MS a reload never shows in the list of the other tab",
  async () => {
    await using graced = await startServer({
      env: { OFFLINE_GRACE_MS: "10000" },
    });
    const { url } = graced;
    await using ada = await tests.open("?user=ada", { url });
    await using bob = await tests.open("?user=bob", { url });
    await ada.listShows(["ada", "bob"]);
    await ada.page.evaluate(`void (() => {
    globalThis.lists = new Set();
    new MutationObserver(() => {
      const names = [...document.querySelectorAll("#online .name")];
      lists.add(names.map(({ textContent }) => textContent).join());
    }).observe(document.getElementById("online"), { childList: true });
  })()`);
    await bob.page.reload();
    await bob.connected();
    await using chen = await tests.open("?user=chen", { url });
    await chen.connected();
    await ada.listShows(["ada", "bob", "chen"]);
    deepEqual(await ada.page.evaluate("[...lists]"), ["ada,bob,chen"]);
    await ada.logIs(/bob/, ["bob came online"]);
  },
  ["Chromium", "Firefox"],
);

tests.test("a tab that is not connected shows who is online", async () => {
  await using viewer = await tests.open("");
  await viewer.stateMatches(/^Not connected$/);
  {
    await using bob = await tests.open("?user=bob");
    await bob.connected();
    await viewer.listShows(["bob"]);
    await viewer.shows("#freshness", /every 3 s/);
    // Everybody sees everybody.
    deepEqual(await viewer.texts("#teams:not([hidden])"), []);
  }
  await viewer.listShows([]);
}, ["Chromium"]);

tests.test("the page works with the keyboard alone", async () => {
  await using tab = await tests.open("");
  const { page } = tab;
  const focused = () =>
    page.evaluate<string>("document.activeElement.textContent.trim()");
  const tabTo = async (words: RegExp) => {
    for (let presses = 0; presses < 20; presses++) {
      await page.press("Tab");
      if (words.test(await focused())) return;
    }
    throw new Error(`Tab does not lead to ${words}`);
  };
  await until(
    "the button is enabled",
    async () => (await tab.texts("#connect:enabled")).length === 1,
  );
  await page.press("Tab");
  await page.press("dora");
  await tabTo(/^Connect$/);
  await page.press("Enter");
  await tab.stateMatches(/^Connected as dora$/);
  await tab.listShows(["dora"]);
  await untilEqual("the button disconnects", focused, "Disconnect");
  await tabTo(/^\+5 simulated users$/);
  await page.press("Enter");
  await tab.countIs("4 or more", (count) => count >= 4);
  await tabTo(/^Remove all/);
  await page.press(" ");
  await tab.listShows(["dora"]);
  await tabTo(/^Copy the command for the list$/);
  // Users who go offline are spoken about as well, so the sentence may be gone soon.
  await page.evaluate(`void (() => {
    globalThis.sentences = [];
    new MutationObserver(([{ target }]) => sentences.push(target.textContent))
      .observe(document.getElementById("spoken"), { childList: true });
  })()`);
  await page.press("Enter");
  await until(
    "the button says Copied",
    async () => /^Copied/.test(await focused()),
  );
  await until(
    "it is spoken",
    () => page.evaluate<boolean>('sentences.includes("Copied")'),
  );
  await page.evaluate(`void (() => {
    const field = document.createElement("textarea");
    document.body.append(field);
    field.focus();
  })()`);
  await page.press("v", ["Control"]);
  await untilEqual(
    "the command is pasted",
    () => page.evaluate("document.activeElement.value"),
    `curl ${tests.server.url}users/online`,
  );
  await page.evaluate('document.getElementById("connect").focus()');
  await page.press("Enter");
  await tab.stateMatches(/^Not connected$/);
  await untilEqual("the button connects", focused, "Connect");
  await tab.logShows("You disconnected");
  await tab.logIs(/^You /, [
    "You disconnected",
    "You connected as dora",
  ]);
});

tests.test("a username with HTML in it is shown as text", async () => {
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
      "the announcement has the name",
      async () => (await ada.texts("#spoken")).join().includes(name),
    );
  }
  await ada.logShows(`${name} went offline`);
  deepEqual(await ada.texts("img"), []);
}, ["Chromium"]);

tests.test("a close reason with HTML in it is shown as text", async () => {
  await using front = await startFront({
    url: tests.server.url,
    play: (socket, nth) => {
      sendTo(socket, { type: "presence_state", seq: 1, users: [] });
      if (nth === 0) socket.close(1011, "<img src=x>");
    },
  });
  await using ada = await tests.open("?user=ada", front);
  await ada.logShows("Your connection ended: <img src=x> (1011)");
  deepEqual(await ada.texts("img"), []);
}, ["Chromium"]);

tests.test(
  "Disconnect while the page connects cancels the connection",
  async () => {
    const token = gate("/demo/token");
    const { answer } = token;
    await using front = await startFront({ url: tests.server.url, answer });
    await using tab = await tests.open("", front);
    await tab.click("#connect");
    await token.held;
    await tab.click("#connect");
    token.open();
    // When the second connection is open, the first one cannot still be on its way.
    await tab.page.evaluate(
      'void (document.getElementById("user").value = "bob")',
    );
    await tab.click("#connect");
    await tab.stateMatches(/^Connected as bob$/);
    await tab.logShows("You connected as bob");
    await tab.logIs(/^You /, [
      "You connected as bob",
      "You disconnected",
    ]);
    equal(front.sockets, 1);
  },
  ["Chromium"],
);

tests.test("each snippet runs", async () => {
  await using ada = await tests.open("?user=ada");
  await ada.connected();
  const text = async (id: string) => (await ada.texts(`#${id}`)).join();
  await ada.page.evaluate(
    `(async () => { ${await text("snippet-browser")} })()`,
  );
  await ada.listShows(["ada", "bob"]);
  const [, url = "", tokenUrl = ""] =
    /"(ws:.+)\$\(curl -s '(.+)'\)"$/.exec(await text("snippet-wscat")) ?? [];
  const token = await (await fetch(tokenUrl)).text();
  const socket = new WebSocket(url + token, "rollcall.v2");
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.onmessage = ({ data }) => resolve(data);
  match(await promise, /^{"type":"presence_state",/);
  socket.close();
  const list = await fetch((await text("snippet-curl")).replace("curl ", ""));
  equal((await list.json()).online_users.length, 2);
}, ["Chromium"]);

tests.test(
  "the button of an empty page connects, and then Disconnect has the focus",
  async () => {
    await using tab = await tests.open("");
    await tab.shows("#empty:not([hidden])", /^\s*Nobody is online yet/);
    await tab.click("#empty button");
    await tab.connected();
    await tab.listShows(["ada"]);
    deepEqual(await tab.texts("#empty:not([hidden])"), []);
    equal(await tab.page.evaluate("document.activeElement.id"), "connect");
  },
  ["Chromium"],
);

tests.test("a user who leaves stays visible for a moment", async () => {
  await using ada = await tests.open("?user=ada");
  await ada.connected();
  await ada.page.evaluate(`void (() => {
    globalThis.left = new Set();
    new MutationObserver(() => {
      for (const name of document.querySelectorAll(".leaving .name")) {
        left.add(name.textContent);
      }
    }).observe(document.getElementById("online"), { attributes: true, subtree: true });
  })()`);
  {
    await using bob = await tests.open("?user=bob");
    await bob.connected();
    await ada.listShows(["ada", "bob"]);
  }
  await ada.listShows(["ada"]);
  await untilEqual("bob's face is gone", () => ada.texts("#online .name"), [
    "ada",
  ]);
  deepEqual(await ada.page.evaluate("[...left]"), ["bob"]);
}, ["Chromium"]);

tests.test("no token is on the page or in its address", async () => {
  await using ada = await tests.open("?user=ada");
  await ada.connected();
  const seen = await ada.page.evaluate<string>(
    "location.href + document.documentElement.outerHTML",
  );
  // Every JWT begins with `{"` in Base64.
  equal(/eyJ[\w-]+\./.exec(seen)?.[0], undefined);
}, ["Chromium"]);

/** The window of WebKitGTK's browser is not narrower than its buttons. */
const WIDTHS = { 390: ["Chromium", "Firefox"], 480: ["WebKit"] } as const;

for (const [width, browsers] of Object.entries(WIDTHS)) {
  tests.test(`the page fits into a window ${width} pixels wide`, async () => {
    await using ada = await tests.open("?user=ada", { width: Number(width) });
    equal(await ada.page.evaluate("innerWidth"), Number(width));
    await ada.connected();
    equal(await ada.page.evaluate(OVERFLOW), 0);
  }, browsers);
}

tests.test("in a window of 1280 x 800 the log and the chart are beside each other above the fold", async () => {
  await using ada = await tests.open("?user=ada", { width: 1_280 });
  await ada.connected();
  equal(await ada.page.evaluate(OVERFLOW), 0);
  await ada.page.resize(1_280, 800);
  const [log, chart] = await ada.page.evaluate<DOMRect[]>(
    `["log", "chart"].map((id) => document.getElementById(id)
      .closest("section").getBoundingClientRect().toJSON())`,
  );
  ok(log !== undefined && chart !== undefined);
  equal(log.top, chart.top);
  ok(log.right < chart.left);
  ok(chart.bottom <= 800, `the chart ends at ${chart.bottom}`);
});
