/** What an operator sees: metrics, health, logs and traces. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  connect,
  connectWith,
  socketUrl,
  tokenFor,
} from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { rawHandshake } from "../support/raw_socket.ts";
import { ROOT, sharedServer, startServerOn } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const server = sharedServer(() => startServerOn(postgres.database()));

/** The values of `/metrics` by name and labels. */
async function metrics(): Promise<Map<string, number>> {
  const response = await fetch(`${server.url}metrics`);
  match(response.headers.get("content-type") ?? "", /^text\/plain; version=/);
  const lines = (await response.text()).split("\n");
  return new Map(
    lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

Deno.test("the metrics count connections, users, transitions, writes, closes and refused requests", async () => {
  const before = await metrics();
  {
    await using _ada = await connect(server.url, 1);
    await using bob = await connectSync(server.url, 2);
    await using chen = await connectSync(server.url, 3, { watch: [1, 2] });
    await bob.holds([1, 2, 3]);
    await chen.holds([1, 2]);
    const now = await metrics();
    const value = (name: string) => now.get(`rollcall_${name}`);
    deepEqual(
      [
        "v1_connections",
        "v2_connections",
        "watchers",
        "watched_ids",
        "sockets",
      ].map(value),
      [1, 2, 1, 2, 3],
    );
    deepEqual(["users_local", "users_online", "notifications_up"].map(value), [
      3,
      3,
      1,
    ]);
    equal(
      (value("transitions_total") ?? 0) -
        (before.get("rollcall_transitions_total") ?? 0),
      3,
    );
    ok((value("apply_seconds_count") ?? 0) >= 1);
    for (const version of [1, 2]) {
      const count = `delivery_seconds_count{version="${version}"}`;
      ok((value(count) ?? 0) >= 1, count);
    }
    ok((value("lease_remaining_seconds") ?? 0) > 5);
    deepEqual(["feed_lag_transitions", "fanout_lag_transitions"].map(value), [
      0,
      0,
    ]);
    ok((now.get("process_resident_memory_bytes") ?? 0) > 10_000_000);
    ok((now.get("process_cpu_seconds_total") ?? 0) > 0);
  }
  const cut = await rawHandshake(server.url, {
    authorization: `Bearer ${await tokenFor(4)}`,
  });
  cut[Symbol.dispose]();
  (await connectWith(new WebSocket(socketUrl(server.url, await tokenFor(5)))))
    .socket.close(3_456);
  await until("closes by clients are counted", async () => {
    const now = await metrics();
    return ["1000", "1006", "4000"].every((code) =>
      now.has(`rollcall_closes_total{code="${code}",by="client"}`)
    );
  });
  equal((await fetch(`${server.url}nothing`, { method: "HEAD" })).status, 404);
  ok(
    ((await metrics()).get('rollcall_requests_refused_total{status="404"}') ??
      0) > 0,
  );
  const refused = await connect(server.url, 999);
  equal((await refused.closed).code, 1008);
  await until(
    "the close is counted",
    async () =>
      (await metrics()).get(
        'rollcall_closes_total{code="1008",by="server"}',
      ) === 1,
  );
});

Deno.test("the dashboard, the alerts and the documentation name only metrics that exist, and the documentation names all of them", async () => {
  const present = new Set(
    [...(await metrics()).keys()].map((name) =>
      name.replace(/\{.*$/, "").replace(/_(bucket|sum|count)$/, "")
    ),
  );
  const name = "(?:rollcall|process)_[a-z0-9_]*[a-z0-9]";
  const documentation = await documents();
  const named = new Map<string, Iterable<RegExpMatchArray>>();
  for (const file of ["docs/grafana.json", "docs/alerts.yml"]) {
    const text = await Deno.readTextFile(`${ROOT}${file}`);
    named.set(file, text.matchAll(new RegExp(`\\b(${name})\\b`, "g")));
  }
  const quoted = new RegExp(`\`(${name})\``, "g");
  named.set("the documentation", documentation.matchAll(quoted));
  for (const [file, matches] of named) {
    for (const [, name = ""] of matches) {
      const plain = name.replace(/_(bucket|sum|count)$/, "");
      if (plain === "rollcall_internal") continue;
      ok(present.has(plain), `${file} names ${name}, which does not exist`);
    }
  }
  for (const name of present) {
    ok(documentation.includes(`\`${name}\``), `no document names ${name}`);
  }
});

/** The README and every page of `docs/`, one after the other. */
async function documents(): Promise<string> {
  const texts = [await Deno.readTextFile(`${ROOT}README.md`)];
  for await (const { name } of Deno.readDir(`${ROOT}docs`)) {
    if (!name.endsWith(".md")) continue;
    texts.push(await Deno.readTextFile(`${ROOT}docs/${name}`));
  }
  return texts.join("\n");
}

Deno.test("/healthz answers 503 after the event loop was stuck for more than 5 s", async () => {
  const path = `${server.url}healthz`;
  deepEqual(await (await fetch(path)).json(), { status: "ok" });
  Deno.kill(server.pid, "SIGSTOP");
  const stoppedAt = performance.now();
  await until(
    "the process was stopped for 5.6 s",
    () => performance.now() - stoppedAt > 5_600,
  );
  Deno.kill(server.pid, "SIGCONT");
  const { status, error } = await until("/healthz fails", async () => {
    const response = await fetch(path);
    const { error } = await response.json();
    return response.status === 503 && { status: response.status, error };
  });
  equal(status, 503);
  match(error.message, /^the event loop was stuck for [5-9]\d{3} ms$/);
});

Deno.test("the log has no part of any token, valid or not", async () => {
  const tokens = [
    await tokenFor(1),
    await tokenFor(1, -60),
    await tokenFor(999),
    `${await tokenFor(2)}x`,
  ];
  for (const token of tokens) {
    await using client = await connectSync(server.url, 1, { token });
    await until(
      "the socket is closed or gets a message",
      () =>
        client.messages.length > 0 ||
        client.socket.readyState === WebSocket.CLOSED,
    );
    if (client.messages.length > 0) client.say({ type: "refresh", token });
    const response = await fetch(`${server.url}users/online?token=${token}`);
    await response.body?.cancel();
    const missing = await fetch(`${server.url}nothing?token=${token}`);
    await missing.body?.cancel();
  }
  const log = server.log.join("\n");
  for (const token of tokens) {
    for (const part of token.split(".").slice(1)) ok(!log.includes(part));
  }
});

Deno.test("with OTEL_DENO writes to the database are traced", async () => {
  const bodies: string[] = [];
  await using collector = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      if (new URL(request.url).pathname === "/v1/traces") {
        bodies.push(new TextDecoder("latin1").decode(await request.bytes()));
      } else await request.body?.cancel();
      return new Response();
    },
  );
  await using traced = await startServerOn(await postgres.database(), {
    OTEL_DENO: "true",
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
    OTEL_BSP_SCHEDULE_DELAY: "100",
  });
  await using ada = await connect(traced.url, 1);
  await until(
    "the collector gets a span of the write",
    () => bodies.some((body) => body.includes("rollcall.apply")),
  );
  equal(ada.socket.readyState, WebSocket.OPEN);
});
