/** The demo page when its connection ends because of the network, the server or the token. */
import { equal } from "node:assert/strict";
import { signToken } from "../../src/access/token/sign_token.ts";
import { CLOSE } from "../../src/client/protocol/close.ts";
import { connectWith, socketUrl } from "../support/client.ts";
import { freePort } from "../support/ports.ts";
import { scratchFolder } from "../support/scratch_folder.ts";
import { startServer } from "../support/server.ts";
import { sendTo, startFront } from "../support/front.ts";
import { pageTests } from "../support/tab.ts";

const tests = pageTests();

tests.test("without a network the page is offline, and with one its list is correct again", async () => {
  await using front = await startFront({ url: tests.server.url });
  await using ada = await tests.open("?user=ada", front);
  {
    await using _bob = await tests.open("?user=bob");
    await ada.listShows(["ada", "bob"]);
    await ada.page.setOffline(true);
    front.setDown(true);
    await ada.stateMatches(/^Offline: the browser has no network connection$/);
  }
  await using chen = await tests.open("?user=chen");
  await chen.connected();
  await ada.listShows(["ada", "bob"]);
  front.setDown(false);
  await ada.page.setOffline(false);
  await ada.connected();
  await ada.listShows(["ada", "chen"]);
  await ada.logShows("bob went offline");
  await ada.logShows("chen came online");
});

tests.test(
  "a connection that works is kept when the browser says that it has no network",
  async () => {
    await using ada = await tests.open("?user=ada");
    await ada.listShows(["ada"]);
    await ada.page.setOffline(true);
    await using bob = await tests.open("?user=bob");
    await bob.connected();
    await ada.listShows(["ada", "bob"]);
    await ada.page.setOffline(false);
    await ada.logIs(/^(You|Offline)/, ["You connected as ada"]);
  },
  ["Firefox", "WebKit"],
);

tests.test(
  "the page reconnects to a server that restarts",
  async () => {
    await using folder = await scratchFolder();
    const PORT = String(freePort());
    await using first = await startServer({
      cwd: folder.path,
      env: { DRAIN_MS: "0", PORT },
    });
    await using ada = await tests.open("?user=ada", { url: first.url });
    {
      await using bob = await tests.open("?user=bob", { url: first.url });
      await bob.connected();
      await ada.listShows(["ada", "bob"]);
      equal(await first.stop(), 0);
      await ada.stateMatches(/^Reconnecting in \d+ s/);
    }
    await using _second = await startServer({
      cwd: folder.path,
      env: { PORT },
    });
    await ada.connected();
    await ada.listShows(["ada"]);
    await ada.logShows("Your connection ended: server going away (1001)");
    await ada.logShows("bob went offline");
  },
);

tests.test(
  "a token is refreshed before it expires, and the connection stays open",
  async () => {
    await using folder = await scratchFolder();
    await using demo = await startServer({ cwd: folder.path });
    const secret = await Deno.readTextFile(`${folder.path}/.data/secret`);
    const key = { kind: "secret", secret } as const;
    const config = {
      ...{ key, issuer: undefined, audiences: undefined },
      userClaim: "sub",
      usernameClaims: [],
      ...{ groupsClaim: undefined, groupsPerUserMax: 100 },
    };
    const issued: string[] = [];
    await using front = await startFront({
      url: demo.url,
      answer: async (_method, path) => {
        if (path !== "/demo/token") return;
        // Signed when the page asks, so that a slow start of the page does not shorten it.
        const seconds = issued.length === 0 ? 5 : 3_600;
        const token = await signToken(config, 1, seconds);
        issued.push(token);
        return Response.json({ userId: 1, username: "ada", token });
      },
    });
    await using ada = await tests.open("?user=ada", front);
    await ada.connected();
    // This connection is not refreshed, so its close shows that the first token has expired.
    const url = socketUrl(demo.url, issued[0]);
    const control = await connectWith(new WebSocket(url));
    equal((await control.closed).code, CLOSE.tokenExpired.code);
    await using bob = await tests.open("?user=bob", { url: demo.url });
    await bob.connected();
    await ada.listShows(["ada", "bob"]);
    equal(issued.length, 2);
    equal(front.sockets, 1);
    await ada.logIs(/^You/, ["You connected as ada"]);
  },
  ["Chromium"],
);

tests.test("if the page cannot get a token it tries again", async () => {
  let isBroken = true;
  await using front = await startFront({
    url: tests.server.url,
    answer: (_method, path) =>
      isBroken && path === "/demo/token" ? "cut" : undefined,
  });
  await using ada = await tests.open("?user=ada", front);
  await ada.stateMatches(/^Reconnecting in \d+ s: cannot reach the server$/);
  isBroken = false;
  await ada.connected();
}, ["Chromium"]);

/** Firefox makes 1001 itself, and WebKitGTK takes 1013 for an error of the protocol and shows 1006. */
const SEEN_DIFFERENTLY = [1001, 1013];

for (const { code, meaning, reconnect } of Object.values(CLOSE)) {
  const isFinal = reconnect === "no";
  tests.test(
    `closed with ${code}, the page ${
      isFinal ? "stays disconnected" : "reconnects"
    }`,
    async () => {
      await using front = await startFront({
        url: tests.server.url,
        play: (socket, nth) => {
          const users = [{ id: 1, username: "ada" }];
          sendTo(socket, { type: "presence_state", seq: nth, users });
          if (nth === 0) socket.close(code, meaning);
        },
      });
      await using ada = await tests.open("?user=ada", front);
      const isSeen = tests.browser !== "WebKit" || code !== 1013;
      const end = isSeen ? `${meaning} (${code})` : "connection lost (1006)";
      await ada.logShows(`Your connection ended: ${end}`);
      if (!isFinal) {
        await ada.connected();
        return await ada.listShows(["ada"]);
      }
      await ada.stateMatches(/^Disconnected: /);
      equal((await ada.texts("#connect")).join(), "Connect");
      equal(front.sockets, 1);
    },
    SEEN_DIFFERENTLY.includes(code) ? undefined : ["Chromium"],
  );
}
