/** The demo page with teams, in windows of people who are in different ones. */
import { deepEqual, equal, match } from "node:assert/strict";
import { pageTests, type Tab } from "../support/tab.ts";
import { untilEqual } from "../support/until.ts";

/** No sweep does what a move on the page must do. */
const tests = pageTests({
  env: { DEMO_TEAMS: "true", HEARTBEAT_MS: "250000", LEASE_MS: "600000" },
});

/** The control that puts a person into a team, or takes it out. */
const box = (username: string, team: string) =>
  `[data-username=${username}] [data-team=${team}] input`;

/** What a test before this one did to dora, whom the tests move. */
async function putBack(): Promise<void> {
  const body = JSON.stringify({ user: "dora", teams: ["orange"] });
  const init = { method: "POST", body };
  const answer = await fetch(`${tests.server.url}demo/teams`, init);
  equal(answer.status, 200);
  await answer.body?.cancel();
}

async function select({ page }: Tab, username: string): Promise<void> {
  await page.evaluate(`void (() => {
    const select = document.getElementById("user");
    select.value = "${username}";
    select.dispatchEvent(new Event("change"));
  })()`);
}

tests.test(
  "[V2][V3] a person who is moved on the page appears and disappears at once in the windows of the teams",
  async () => {
    await putBack();
    await using ada = await tests.open("?user=ada");
    await using chen = await tests.open("?user=chen");
    await using dora = await tests.open("?user=dora");
    await ada.listShows(["ada", "chen"]);
    await chen.listShows(["ada", "chen", "dora"]);
    await dora.listShows(["chen", "dora"]);
    await ada.shows("#teams-state", /^ada is in blue, and sees all in it\.$/);

    await ada.click(box("dora", "blue"));
    await ada.listShows(["ada", "chen", "dora"]);
    await ada.logShows("dora came online");
    await dora.listShows(["ada", "chen", "dora"]);
    await dora.shows("#teams-state", /^dora is in blue and orange, /);
    await dora.logShows("dora is in blue and orange, and sees all in them");

    await dora.click(box("dora", "blue"));
    await dora.click(box("dora", "orange"));
    await dora.listShows(["dora"]);
    await dora.shows(
      "#teams-state",
      /^dora is in no team, and sees nobody else/,
    );
    await ada.listShows(["ada", "chen"]);
    await ada.logIs(/dora/, ["dora went offline", "dora came online"]);
    await untilEqual(
      "the controls in the other window follow",
      () =>
        ada.page.evaluate(
          `document.querySelectorAll("[data-username=dora] :checked").length`,
        ),
      0,
    );
    await ada.click(box("dora", "orange"));
    await dora.listShows(["chen", "dora"]);
  },
  ["Chromium", "Firefox"],
);

tests.test(
  "with teams a tab that is not connected shows whom its user sees, and the guide says who will appear",
  async () => {
    await using dora = await tests.open("?user=dora");
    await dora.connected();
    await using viewer = await tests.open("");
    await viewer.listShows([]);
    await viewer.shows(
      "#next",
      /^Connect here first, then watch bob arrive\.$/,
    );
    await select(viewer, "emre");
    await viewer.listShows(["dora"]);
    await select(viewer, "fatima");
    await viewer.shows("#next", /^ada shares no team with fatima, /);
    match((await viewer.texts("#snippet-curl")).join(), /^curl -H "Authoriz/);
  },
  ["Chromium"],
);

tests.test(
  "the teams are in the window, however narrow, and work with the keyboard",
  async () => {
    await using ada = await tests.open("?user=ada", { width: 360 });
    await ada.listShows(["ada"]);
    equal(
      await ada.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth",
      ),
      0,
    );
    const names = await ada.page.evaluate<string[]>(
      `Array.from(document.querySelectorAll("#people input"), ({ labels, parentElement }) =>
       parentElement.parentElement.firstElementChild.textContent + ": " + labels[0].textContent)`,
    );
    deepEqual(names.slice(0, 2), ["ada: blue", "ada: orange"]);
    equal(names.length, 12);
    await ada.page.evaluate(
      `document.querySelector(${
        JSON.stringify(box("fatima", "orange"))
      }).focus()`,
    );
    await ada.page.press(" ");
    await using fatima = await tests.open("?user=fatima");
    await fatima.shows("#teams-state", /^fatima is in orange, /);
    await ada.page.press(" ");
    await fatima.shows("#teams-state", /^fatima is in no team, /);
  },
  ["Chromium"],
);
