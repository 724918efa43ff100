/** The administrators' page in a real browser, on a real server. */
import { deepEqual, ok } from "node:assert/strict";
import { open } from "../support/client.ts";
import { pageTests, type Tab } from "../support/tab.ts";
import { until } from "../support/until.ts";

const ADMIN_TOKEN = "an-admin-token-that-every-test-knows-0123";
const JWT_SECRET = "a-secret-that-every-test-knows-0123456789";
const tests = pageTests({ env: { ADMIN_TOKEN, JWT_SECRET } });

/** Types the token and sends the form, as a person does. */
async function enter(tab: Tab, token: string): Promise<void> {
  await tab.page.evaluate(
    `document.getElementById("token").value = ${JSON.stringify(token)}`,
  );
  await tab.click("#login button");
}

const hasStored = (tab: Tab) =>
  tab.page.evaluate<string>(
    "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, document.body.outerHTML, document.getElementById('token').value])",
  );

tests.test(
  "with the token the page shows the node, what is wrong and where a user is, and stores the token nowhere",
  async () => {
    await using tab = await tests.open("admin");
    await tab.shows("#login", /ADMIN_TOKEN/);
    await enter(tab, ADMIN_TOKEN);
    await tab.shows("#nodes", /this node.*serving/s);
    await tab.shows("#problems", /^Nothing that this node can see\.$/);
    deepEqual(await tab.attribute("#login", "hidden"), "");
    const unknown = await open(tests.server.url, 999);
    await unknown.closed;
    await tab.page.evaluate(`document.getElementById("user").value = "7"`);
    await tab.click("#find button");
    await tab.shows("#found", /^7 is offline, and was never online\.$/);
    await tab.shows("#closes", /unknown user/);
    ok(!(await hasStored(tab)).includes(ADMIN_TOKEN));
    // A cordon shows on the page without a click: it asks again by itself.
    const response = await fetch(`${tests.server.url}admin/cordon`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    await response.body?.cancel();
    await tab.shows("#problems", /this node is cordoned/);
    await tab.page.reload();
    await until(
      "a reload asks for the token again",
      async () => (await tab.texts("#login label"))[0] === "Admin token",
    );
  },
  ["Chromium"],
);
