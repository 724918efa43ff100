/** The client library in frames and workers. */
import { readDocument } from "../support/documents.ts";
import { startFront } from "../support/front.ts";
import { pageTests } from "../support/tab.ts";
import { until, untilEqual } from "../support/until.ts";

const tests = pageTests();

/** A page with nothing, on the demo's server. */
async function openEmpty() {
  const html = { "content-type": "text/html" };
  const front = await startFront({
    url: tests.server.url,
    answer: (_method, path) => {
      if (path !== "/empty" && path !== "/elsewhere") return;
      return new Response("<!DOCTYPE html><title>x</title><p>", {
        headers: html,
      });
    },
  });
  const tab = await tests.open("empty", front);
  return {
    ...{ front, page: tab.page },
    /** Runs this JavaScript in the page, until it has written that a client is connected. */
    connect: async (code: string) => {
      await tab.page.evaluate(`void (() => { ${code} })()`);
      await until(
        "the client is connected",
        () => tab.page.evaluate<boolean>('globalThis.written === "connected"'),
      );
    },
    [Symbol.asyncDispose]: async () => {
      await tab[Symbol.asyncDispose]();
      await front[Symbol.asyncDispose]();
    },
  };
}

/** JavaScript that connects as chen with a relative URL, and writes the state of the connection. */
async function client(origin: string, write: string): Promise<string> {
  const url = `${tests.server.url}demo/token?user=chen`;
  const { token } = await (await fetch(url)).json();
  return `import { connect } from "${origin}client.js";
    const rollcall = connect("/ws", { token: "${token}" });
    rollcall.on("connection", ({ state }) => ${write});`;
}

/** JavaScript for a page: a worker from a `blob:` URL. */
const worker = (script: string) =>
  `const type = "text/javascript";
   const url = URL.createObjectURL(new Blob([${
    JSON.stringify(script)
  }], { type }));
   const worker = new Worker(url, { type: "module" });
   worker.onmessage = ({ data }) => globalThis.written = data;`;

/** The names that the server lists. */
async function listed(): Promise<string[]> {
  const response = await fetch(`${tests.server.url}users/online`);
  const { online_users } = await response.json();
  return online_users.map(({ username }: { username: string }) => username);
}

tests.test("in a frame with srcdoc the URL may be relative", async () => {
  await using empty = await openEmpty();
  const script = await client(empty.front.url, "parent.written = state");
  const srcdoc = `<script type="module">${script}</script>`;
  await empty.connect(
    `const frame = document.createElement("iframe");
     frame.srcdoc = ${JSON.stringify(srcdoc)};
     document.body.append(frame);`,
  );
});

tests.test("in a worker from a blob: URL the URL may be relative", async () => {
  await using empty = await openEmpty();
  const script = await client(empty.front.url, "postMessage(state)");
  await empty.connect(worker(script));
});

tests.test(
  "a worker is offline while its page is kept, if the page passes its events on as docs/client.md says",
  async () => {
    const text = await readDocument("docs/client.md");
    const [inPage, inWorker] = [...text.matchAll(
      /```js\n\/\/ in the (?:page|worker)\n([^]*?)```/g,
    )].map(([, code]) => code);
    await using empty = await openEmpty();
    const script = await client(empty.front.url, "postMessage(state)");
    await empty.connect(`${worker(`${script}\n${inWorker}`)}\n${inPage}`);
    await untilEqual("chen is online", listed, ["chen"]);
    await empty.page.goto(`${empty.front.url}elsewhere`);
    await untilEqual("chen is offline", listed, []);
    await empty.page.back();
    await untilEqual("chen is online again", listed, ["chen"]);
  },
  ["Chromium"],
);
