/** The demo's page with many people on it: simulated ones, and more than fit into a list. */
import { equal, match, ok } from "node:assert/strict";
import type { Page, WebSocketRoute } from "playwright-core";
import type { OnlineUserInfo } from "../../src/protocol/messages.ts";
import { pageTests, playSocket, say } from "../support/tab.ts";
import { until } from "../support/until.ts";

const tests = pageTests();

const USERS = 5_000;
const DIFFERENCES = 100;
const CHANGES_PER_DIFFERENCE = 100;
const STRIDE = USERS / CHANGES_PER_DIFFERENCE;
/** From here on, a person notices that the page did not answer. */
const LONG_TASK_MS = 100;
/** On a busy machine a task may also have waited for its turn. */
const LONG_TASKS_MAX = DIFFERENCES / 20;

const user = (id: number): OnlineUserInfo => ({ id, username: `user-${id}` });
const ids = (length: number) => Array.from({ length }, (_, index) => 1 + index);

tests.test("a crowd comes and goes with a button", async () => {
  await using ada = await tests.open("?user=ada");
  await using bob = await tests.open("?user=bob");
  await ada.listShows(["ada", "bob"]);
  const { page } = ada;
  await page.getByRole("button", { name: "+50 simulated users" }).click();
  await ada.countIs("most of 52", (count) => count > 45);
  await bob.countIs("most of 52", (count) => count > 45);
  await until(
    "the button tells",
    async () =>
      /^50 simulated/.test(
        await page.locator("#crowd-state").textContent() ?? "",
      ),
  );
  await until(
    "somebody went out",
    async () => (await ada.log(/ went offline$/)).length > 0,
  );
  await until(
    "a sentence sums it up",
    async () =>
      /^\d+ came.*\. \d+ are online\.$/.test(
        await page.locator("#spoken").textContent() ?? "",
      ),
  );
  await until("the chart shows it", async () => {
    const label = await page.locator("#chart").getAttribute("aria-label");
    return /^Online: (4[6-9]|5[0-2]) now, .* between \d+ and /.test(
      label ?? "",
    );
  });
  await page.getByRole("button", { name: "Remove all" }).click();
  await ada.listShows(["ada", "bob"]);
  await bob.listShows(["ada", "bob"]);
  match(await page.locator("#crowd-state").textContent() ?? "", /^Nobody/);
});

tests.test("past its limit the crowd is refused in words", async () => {
  await using ada = await tests.open("", {
    prepare: (page) =>
      page.route("**/demo/crowd", (route) => {
        const isPost = route.request().method() === "POST";
        const error = { code: "crowd_full", message: "4500 are the most" };
        return isPost
          ? route.fulfill({ status: 409, json: { error } })
          : route.fulfill({ json: { size: 4_500, max: 4_500 } });
      }),
  });
  await ada.page.getByRole("button", { name: "+500 simulated users" }).click();
  await until(
    "it says so",
    async () =>
      await ada.page.locator("#crowd-state").textContent() ===
        "That did not work: 4500 are the most",
  );
});

interface Seen {
  readonly frames: number;
  readonly listChanges: number;
  readonly tasksMs: readonly number[];
  readonly sentences: readonly string[];
}

const seenBy = (page: Page) => page.evaluate<Seen>("seen");

/** Counts what the page does from its first moment on. */
async function observe(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const seen = {
      frames: 0,
      listChanges: 0,
      tasksMs: [] as number[],
      sentences: [],
    };
    Object.assign(globalThis, { seen });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        seen.tasksMs.push(duration);
      }
    }).observe({ type: "longtask", buffered: true });
  });
}

tests.test("5,000 users and their churn do not stop the page", async () => {
  let server: WebSocketRoute | undefined;
  const socket = playSocket((socket) => {
    server = socket;
    say(socket, {
      type: "presence_state",
      seq: 1,
      users: ids(USERS).map(user),
    });
  });
  await using ada = await tests.open("?user=ada", {
    prepare: async (page) => {
      await observe(page);
      await socket.prepare(page);
    },
  });
  const { page } = ada;
  await ada.countIs("5,000", (count) => count === USERS);
  equal(await page.locator("#online li").count(), 200);
  equal(await page.locator("#more").textContent(), "and 4,800 more");
  await page.evaluate(`
    seen.tasksMs.length = 0;
    new MutationObserver(() => seen.listChanges += 1)
      .observe(document.getElementById("online"), { childList: true, subtree: true });
    new MutationObserver(([{ target }]) => seen.sentences.push(target.textContent))
      .observe(document.getElementById("spoken"), { childList: true });
    const count = () => { seen.frames += 1; requestAnimationFrame(count); };
    count();
  `);
  const startedAt = Date.now();
  for (let nth = 0; nth < DIFFERENCES; nth++) {
    // All over the list, a few of them where it can be seen.
    const changed = ids(CHANGES_PER_DIFFERENCE).map((id) =>
      id * STRIDE - (nth >> 1) % STRIDE
    );
    ok(server !== undefined);
    say(server, {
      type: "presence_diff",
      seq: 2 + nth,
      online: nth % 2 === 1 ? changed.map(user) : [],
      offline: nth % 2 === 0 ? changed : [],
    });
    // The server's own pace for differences.
    await page.evaluate("new Promise((done) => setTimeout(done, 50))");
  }
  await ada.countIs("5,000 again", (count) => count === USERS);
  const seconds = (Date.now() - startedAt) / 1_000;
  const seen = await seenBy(page);
  ok(seen.listChanges <= seen.frames, "the list is drawn once per frame");
  const tooLong = seen.tasksMs.filter((ms) => ms > LONG_TASK_MS);
  ok(tooLong.length <= LONG_TASKS_MAX, `too long, in ms: ${tooLong}`);
  ok(seen.sentences.length <= 1 + seconds / 5, "sentences have pauses");
  equal(await page.locator("#online li").count(), 200);
  equal(await page.locator("#log li").count(), 200);
  await page.evaluate(`setTimeout(() => {
    const end = performance.now() + 150;
    while (performance.now() < end);
  })`);
  await until("a long task would have been seen", async () => {
    const { tasksMs } = await seenBy(page);
    return tasksMs.length > seen.tasksMs.length;
  });
});

tests.test("where they are too many to be named, their number is shown", async () => {
  const socket = playSocket((socket) => {
    const message = "more than 20000 users are online";
    say(socket, { type: "error", code: "too_many_online", message });
    say(socket, { type: "presence_count", seq: 9, online: 31_415 });
  });
  await using ada = await tests.open("?user=ada", socket);
  await ada.countIs("31,415", (count) => count === 31_415);
  await ada.logShows("More than 20000 users are online");
  const { page } = ada;
  equal(await page.locator("#online li").count(), 0);
  equal(await page.locator("#more").isVisible(), false);
  match(
    await page.locator("#online").getAttribute("data-empty") ?? "",
    /^More/,
  );
});
