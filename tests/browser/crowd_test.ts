/** The demo page with many users: simulated ones, and more than fit into the list. */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { WebSocket } from "ws";
import type { OnlineUserInfo } from "../../src/client/protocol/messages.ts";
import type { ChromiumPage } from "../support/chromium.ts";
import { sendTo, startFront } from "../support/front.ts";
import { pageTests } from "../support/tab.ts";
import { until, untilEqual } from "../support/until.ts";

const tests = pageTests();

const USERS = 5_000;
const DIFFS = 100;
const CHANGES_PER_DIFF = 100;
const STRIDE = USERS / CHANGES_PER_DIFF;
/** During a task that is longer than this, a user notices that the page does not respond. */
const LONG_TASK_MS = 100;

const user = (id: number): OnlineUserInfo => ({ id, username: `user-${id}` });
const ids = (length: number) => Array.from({ length }, (_, index) => 1 + index);

tests.test("buttons add simulated users and remove them", async () => {
  await using ada = await tests.open("?user=ada");
  await using bob = await tests.open("?user=bob");
  await ada.listShows(["ada", "bob"]);
  await ada.click("button[data-add='50']");
  await ada.countIs("most of 52", (count) => count > 45);
  await bob.countIs("most of 52", (count) => count > 45);
  await ada.shows("#crowd-state", /^50 simulated/);
  await until(
    "a simulated user went offline",
    async () => (await ada.log(/ went offline$/)).length > 0,
  );
  await ada.shows(
    "#spoken",
    /^\d+ simulated users came online.*\. \d+ users are online\.$/,
  );
  await until("the chart shows it", async () => {
    const label = await ada.attribute("#chart", "aria-label");
    return /^Online, last .*: (4[6-9]|5[0-2]) now, between \d+ and /.test(
      label,
    );
  });
  const entries = await ada.log(/simulated/);
  ok(entries.length <= 3, `the log has ${entries.join("; ")}`);
  await ada.click("#crowd-remove");
  await ada.listShows(["ada", "bob"]);
  await bob.listShows(["ada", "bob"]);
  await ada.shows("#crowd-state", /^No simulated users/);
}, ["Chromium"]);

tests.test(
  "if the server refuses simulated users the page shows why",
  async () => {
    await using front = await startFront({
      url: tests.server.url,
      answer: (method, path) => {
        if (path !== "/demo/crowd") return;
        const error = { code: "crowd_full", message: "4500 are the most" };
        return method === "POST"
          ? Response.json({ error }, { status: 409 })
          : Response.json({ size: 4_500, max: 4_500 });
      },
    });
    await using ada = await tests.open("", front);
    await ada.click("button[data-add='500']");
    await ada.shows(
      "#crowd-state",
      /^Cannot change the simulated users: 4500 are the most$/,
    );
  },
  ["Chromium"],
);

interface Observed {
  readonly frames: number;
  readonly listChanges: number;
  readonly sentences: readonly string[];
}

/** Only Chromium tells how long the tasks of a page are. */
tests.test(
  "the page stays responsive while 5,000 users come online and go offline",
  async () => {
    let server: WebSocket | undefined;
    await using front = await startFront({
      url: tests.server.url,
      play: (socket) => {
        server = socket;
        sendTo(socket, {
          type: "presence_state",
          seq: 1,
          users: ids(USERS).map(user),
        });
      },
    });
    await using ada = await tests.open("?user=ada", front);
    const { page } = ada;
    const { tasksCpuMs } = page as ChromiumPage;
    await ada.countIs("5,000", (count) => count === USERS);
    await ada.click(".rest button");
    await ada.shows(".rest span", /^\+4,800 more$/);
    equal((await ada.texts("#online .name")).length, 200);
    await page.evaluate(`void (() => {
    globalThis.seen = { frames: 0, listChanges: 0, sentences: [] };
    new MutationObserver(() => seen.listChanges += 1)
      .observe(document.getElementById("online"), { childList: true, subtree: true });
    new MutationObserver(([{ target }]) => seen.sentences.push(target.textContent))
      .observe(document.getElementById("spoken"), { childList: true });
    const count = () => { seen.frames += 1; requestAnimationFrame(count); };
    count();
  })()`);
    const startedAt = Date.now();
    const churn = async () => {
      for (let nth = 0; nth < DIFFS; nth++) {
        // Spread over all users, so that a few of them are among the rows on the page.
        const changed = ids(CHANGES_PER_DIFF).map((id) =>
          id * STRIDE - (nth >> 1) % STRIDE
        );
        ok(server !== undefined);
        sendTo(server, {
          type: "presence_diff",
          seq: 2 + nth,
          online: nth % 2 === 1 ? changed.map(user) : [],
          offline: nth % 2 === 0 ? changed : [],
        });
        // The least time between two diffs of the server, by default.
        await page.evaluate("new Promise((done) => setTimeout(done, 50))");
      }
      await ada.countIs("5,000 again", (count) => count === USERS);
    };
    const tasksMs = await tasksCpuMs(churn);
    const seconds = (Date.now() - startedAt) / 1_000;
    const seen = await page.evaluate<Observed>("seen");
    ok(seen.listChanges <= seen.frames, "the list is drawn once per frame");
    ok(seen.sentences.length <= 1 + seconds / 5, "announcements have pauses");
    equal((await ada.texts("#online li:not(.leaving) .name")).length, 200);
    await untilEqual(
      "the log is full",
      async () => (await ada.texts("#log li")).length,
      200,
    );
    const tooLong = tasksMs.filter((ms) => ms > LONG_TASK_MS);
    ok(tasksMs.length > DIFFS, `${tasksMs.length} tasks were recorded`);
    ok(tooLong.length === 0, `too long, in ms: ${tooLong}`);
    // On a busy machine a second of work gets a part of the CPU.
    const busy = await tasksCpuMs(
      () =>
        page.evaluate(`new Promise((done) => setTimeout(() => {
      const end = performance.now() + 1_000;
      while (performance.now() < end);
      done();
    }))`),
    );
    ok(busy.some((ms) => ms > LONG_TASK_MS), "a long task is recorded");
  },
  ["Chromium"],
);

tests.test(
  "on a phone the page says how many more are online than it shows",
  async () => {
    await using front = await startFront({
      url: tests.server.url,
      play: (socket) =>
        sendTo(socket, {
          type: "presence_state",
          seq: 1,
          users: ids(200).map(user),
        }),
    });
    await using ada = await tests.open("?user=ada", {
      ...{ url: front.url, width: 390 },
    });
    await ada.shows(".rest button", /^\+\d+ more$/);
    const shown = (await ada.texts("#online .name")).length;
    deepEqual(await ada.texts(".rest button"), [`+${200 - shown} more`]);
    const cutOff = `(() => {
      const { bottom } = document.getElementById("room").getBoundingClientRect();
      return [...document.querySelectorAll("#online li")].filter((face) =>
        face.getBoundingClientRect().bottom > bottom + 1).length;
    })()`;
    equal(await ada.page.evaluate(cutOff), 0);
    await ada.click(".rest button");
    await ada.shows(".rest button", /^Show fewer$/);
    equal((await ada.texts("#online .name")).length, 200);
  },
  ["Chromium"],
);

tests.test("the page shows a count if the server sends no names", async () => {
  await using front = await startFront({
    url: tests.server.url,
    play: (socket) => {
      const message = "more than 20000 users are online";
      sendTo(socket, { type: "error", code: "too_many_online", message });
      sendTo(socket, { type: "presence_count", seq: 9, online: 31_415 });
    },
  });
  await using ada = await tests.open("?user=ada", front);
  await ada.countIs("31,415", (count) => count === 31_415);
  await ada.logShows("More than 20000 users are online");
  deepEqual(await ada.texts("#online .name"), []);
  deepEqual(await ada.texts(".rest:not([hidden])"), []);
  await ada.shows("#empty:not([hidden])", /Too many users are online/);
}, ["Chromium"]);
