/** What an operator sees: metrics, health, logs and traces. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect, open, tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { metrics, statusCode } from "../support/endpoints.ts";
import { rawHandshake } from "../support/raw_socket.ts";
import { sharedServer, startServerOn } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { pause, until, untilEqual } from "../support/until.ts";

const postgres = postgresForThisFile();
const server = sharedServer(() => startServerOn(postgres.database()));

Deno.test("the metrics count connections, users, transitions, writes, closes and refused requests", async () => {
  const response = await fetch(`${server.url}metrics`);
  match(response.headers.get("content-type") ?? "", /^text\/plain; version=/);
  await response.body?.cancel();
  const before = await metrics(server);
  {
    await using _ada = await connect(server.url, 1);
    await using bob = await connectSync(server.url, 2);
    // From here on it receives changes. What is in its first state is no delivery.
    await bob.holds([1, 2]);
    await using chen = await connectSync(server.url, 3, { watch: [1, 2] });
    await bob.holds([1, 2, 3]);
    await chen.holds([1, 2]);
    const wanted = {
      v1_connections: 1,
      v2_connections: 2,
      watchers: 1,
      watched_ids: 2,
      sockets: 3,
      users_local: 3,
      users_online: 3,
      users_unwritten: 0,
      connections_max: 15_000,
      notifications_up: 1,
      transitions_total: 3 + (before.get("rollcall_transitions_total") ?? 0),
      feed_lag_transitions: 0,
      fanout_lag_transitions: 0,
    };
    // A pass of the fan-out counts when it ends, after the clients have what it sent.
    await untilEqual("the metrics are right", async () => {
      const now = await metrics(server);
      return Object.fromEntries(
        Object.keys(wanted).map((name) => [name, now.get(`rollcall_${name}`)]),
      );
    }, wanted);
    const counted = [
      "rollcall_apply_seconds_count",
      'rollcall_delivery_seconds_count{version="1"}',
      'rollcall_delivery_seconds_count{version="2"}',
    ];
    const now = await until("the other metrics are right", async () => {
      const now = await metrics(server);
      return counted.every((name) => (now.get(name) ?? 0) >= 1) &&
        // Of ten, of which a late heartbeat may use some.
        (now.get("rollcall_lease_remaining_seconds") ?? 0) > 5 && now;
    });
    ok((now.get("process_resident_memory_bytes") ?? 0) > 10_000_000);
    ok((now.get("process_cpu_seconds_total") ?? 0) > 0);
  }
  const cut = await rawHandshake(server.url, {
    authorization: `Bearer ${await tokenFor(4)}`,
  });
  cut[Symbol.dispose]();
  (await open(server.url, 5)).socket.close(3_456);
  await until("closes by clients are counted", async () => {
    const now = await metrics(server);
    return ["1000", "1006", "4000"].every((code) =>
      now.has(`rollcall_closes_total{code="${code}",by="client",reason=""}`)
    );
  });
  equal(await statusCode(`${server.url}nothing`, { method: "HEAD" }), 404);
  const refusals =
    'rollcall_requests_refused_total{status="404",reason="not_found"}';
  ok(((await metrics(server)).get(refusals) ?? 0) > 0);
  const refused = await open(server.url, 999);
  equal((await refused.closed).code, 1008);
  const closes =
    'rollcall_closes_total{code="1008",by="server",reason="unknown user"}';
  await until(
    "the close is counted",
    async () => (await metrics(server)).get(closes) === 1,
  );
});

Deno.test("/healthz answers 503 after the event loop was stuck for more than 5 s", async () => {
  const path = `${server.url}healthz`;
  deepEqual(await (await fetch(path)).json(), { status: "ok" });
  Deno.kill(server.pid, "SIGSTOP");
  await pause(5_600);
  Deno.kill(server.pid, "SIGCONT");
  const { status, error } = await until("/healthz fails", async () => {
    const response = await fetch(path);
    const { error } = await response.json();
    return response.status === 503 && { status: response.status, error };
  });
  equal(status, 503);
  match(error.message, /^the event loop was stuck for \d{4,5} ms$/);
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
    if (client.messages.length > 0) client.send({ type: "refresh", token });
    await statusCode(`${server.url}users/online?token=${token}`);
    await statusCode(`${server.url}nothing?token=${token}`);
  }
  const log = server.log.join("\n");
  for (const token of tokens) {
    for (const part of token.split(".").slice(1)) ok(!log.includes(part));
  }
});

/** What a collector received, by the last part of the path: traces, metrics and logs. */
function startCollector() {
  const received = new Map<string, string>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const kind = new URL(request.url).pathname.split("/").at(-1) ?? "";
      const text = JSON.stringify(await request.json());
      received.set(kind, (received.get(kind) ?? "") + text);
      return Response.json({});
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    has: (kind: string, ...texts: string[]) =>
      texts.every((text) => received.get(kind)?.includes(text)),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

Deno.test("with OTEL_DENO a collector gets the log, the metrics, and spans with routes", async () => {
  await using collector = startCollector();
  await using traced = await startServerOn(postgres.database(), {
    OTEL_DENO: "true",
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_BSP_SCHEDULE_DELAY: "100",
    OTEL_BLRP_SCHEDULE_DELAY: "100",
    OTEL_METRIC_EXPORT_INTERVAL: "200",
    SOCKET_ENGINE: "native",
  });
  await using _ada = await connect(traced.url, 1);
  equal(await statusCode(`${traced.url}nothing`), 404);
  await until("spans arrive", () =>
    collector.has(
      ...["traces", '"name":"rollcall.apply"', '"name":"GET /ws"'] as const,
      ...['"key":"http.route"', '"name":"GET"'],
    ));
  await until("lines of the log arrive", () =>
    collector.has(
      ...[
        "logs",
        '\\"msg\\":\\"listening\\"',
        '"severityText":"INFO"',
      ] as const,
    ));
  await until("metrics arrive", () =>
    collector.has(
      ...["metrics", '"name":"rollcall_slots_in_use"'] as const,
      ...['"name":"rollcall_connections_opened_total"'],
      ...['"name":"rollcall_apply_seconds"', '"isMonotonic":true'],
    ));
});
