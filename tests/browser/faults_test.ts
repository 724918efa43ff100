/** The demo page when its connection ends because of the network, the server or the token. */
import { equal } from "node:assert/strict";
import { signToken } from "../../src/access/token/sign_token.ts";
import { CLOSE } from "../../src/protocol/close.ts";
import { connectWith, socketUrl } from "../support/client.ts";
import { freePort } from "../support/ports.ts";
import { scratchFolder } from "../support/scratch_folder.ts";
import { startServer } from "../support/server.ts";
import { fakeServer, pageTests, sendTo } from "../support/tab.ts";

const tests = pageTests();

tests.test("without a network the page is offline, and with one its list is correct again", async () => {
  await using ada = await tests.open("?user=ada");
  await using bob = await tests.open("?user=bob");
  await ada.listShows(["ada", "bob"]);
  await ada.page.context().setOffline(true);
  await ada.stateMatches(/^Offline: the browser has no network connection$/);
  await bob.page.close();
  await using chen = await tests.open("?user=chen");
  await chen.connected();
  await ada.listShows(["ada", "bob"]);
  await ada.page.context().setOffline(false);
  await ada.connected();
  await ada.listShows(["ada", "chen"]);
  await ada.logShows("bob went offline");
  await ada.logShows("chen came online");
});

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

tests.test("a token is refreshed before it expires, and the connection stays open", async () => {
  await using folder = await scratchFolder();
  await using demo = await startServer({ cwd: folder.path });
  const secret = await Deno.readTextFile(`${folder.path}/.data/secret`);
  const key = { kind: "secret", secret } as const;
  const config = {
    ...{ key, issuer: undefined, audiences: undefined },
    userClaim: "sub",
    usernameClaims: [],
  };
  const issued: string[] = [];
  let sockets = 0;
  await using ada = await tests.open("?user=ada", {
    url: demo.url,
    prepare: async (page) => {
      page.on("websocket", () => sockets += 1);
      await page.route("**/demo/token*", async (route) => {
        // Signed when the page asks, so that a slow start of the page does not shorten it.
        const seconds = issued.length === 0 ? 5 : 3_600;
        const token = await signToken(config, 1, seconds);
        issued.push(token);
        await route.fulfill({ json: { userId: 1, username: "ada", token } });
      });
    },
  });
  await ada.connected();
  // This connection is not refreshed, so its close shows that the first token has expired.
  const url = socketUrl(demo.url, issued[0]);
  const control = await connectWith(new WebSocket(url));
  equal((await control.closed).code, CLOSE.tokenExpired.code);
  await using bob = await tests.open("?user=bob", { url: demo.url });
  await bob.connected();
  await ada.listShows(["ada", "bob"]);
  equal(issued.length, 2);
  equal(sockets, 1);
  await ada.logIs(/^You/, ["You connected as ada"]);
});

tests.test("if the page cannot get a token it tries again", async () => {
  let isBroken = true;
  await using ada = await tests.open("?user=ada", {
    prepare: (page) =>
      page.route(
        "**/demo/token*",
        (route) => isBroken ? route.abort() : route.continue(),
      ),
  });
  await ada.stateMatches(/^Reconnecting in \d+ s: cannot reach the server$/);
  isBroken = false;
  await ada.connected();
});

for (const { code, meaning, reconnect } of Object.values(CLOSE)) {
  const isFinal = reconnect === "no";
  tests.test(
    `closed with ${code}, the page ${
      isFinal ? "stays disconnected" : "reconnects"
    }`,
    async () => {
      const socket = fakeServer((socket, nth) => {
        const users = [{ id: 1, username: "ada" }];
        sendTo(socket, { type: "presence_state", seq: nth, users });
        if (nth === 0) socket.close({ code, reason: meaning });
      });
      await using ada = await tests.open("?user=ada", socket);
      await ada.logShows(`Your connection ended: ${meaning} (${code})`);
      if (!isFinal) {
        await ada.connected();
        return await ada.listShows(["ada"]);
      }
      await ada.stateMatches(/^Disconnected: /);
      equal(await ada.page.locator("#connect").textContent(), "Connect");
      equal(socket.count, 1);
    },
  );
}
