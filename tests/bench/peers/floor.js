/**
 * A bare server: the least that a storm of version 2 can cost on a socket engine. It accepts,
 * upgrades and writes. It checks no token, keeps no user, parses and encodes no JSON, and has no
 * database.
 *
 * It writes what Rollcall wrote. In the storm of Rollcall before, the load generator recorded, for
 * each connection, the size of each message and when it arrived after the 101. Here the n-th
 * connection gets as many messages, of the same sizes, at the same times after its own 101. The
 * messages are made before the first connection, one for each size: a text on the engine `native`,
 * the bytes on `ws`. One timer for all connections writes what is due, every 5 ms, as Rollcall's
 * passes do.
 *
 * SOCKET_ENGINE: native or ws. RECORDING: a file with `[[atMs, bytes, atMs, bytes, ...], ...]`.
 */
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const TICK_MS = 5;
const recording = JSON.parse(
  Deno.readTextFileSync(Deno.env.get("RECORDING") ?? ""),
);
const isNative = Deno.env.get("SOCKET_ENGINE") !== "ws";

/** The message of each size. The clients parse it, so that it is JSON. */
const messages = new Map();
for (const steps of recording) {
  for (let at = 1; at < steps.length; at += 2) {
    const text = `{"x":"${"x".repeat(steps[at] - 8)}"}`;
    messages.set(steps[at], isNative ? text : new TextEncoder().encode(text));
  }
}

let tick = 0;
let opened = 0;
/** Connections by the tick in which their next message is due. */
const due = new Map();

/** Writes the messages that are due, and notes the connection for the tick of its next one. */
function write(connection) {
  const { steps, openedTick, send } = connection;
  while (connection.next < steps.length) {
    const at = openedTick + Math.floor(steps[connection.next] / TICK_MS);
    if (at > tick) {
      const others = due.get(at);
      if (others === undefined) due.set(at, [connection]);
      else others.push(connection);
      return;
    }
    send(messages.get(steps[connection.next + 1]));
    connection.next += 2;
  }
}

function open(send) {
  const steps = recording[opened++] ?? [];
  write({ steps, openedTick: tick, send, next: 0 });
}

const startedAt = performance.now();
setInterval(() => {
  const now = Math.floor((performance.now() - startedAt) / TICK_MS);
  while (tick < now) {
    const connections = due.get(++tick) ?? [];
    due.delete(tick);
    for (const connection of connections) write(connection);
  }
}, TICK_MS);

function listening(port) {
  Deno.stdout.writeSync(new TextEncoder().encode(`listening ${port}\n`));
}

if (isNative) {
  Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: ({ port }) => listening(port),
  }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    response.headers.set("sec-websocket-protocol", "rollcall.v2");
    socket.onopen = () => open((message) => socket.send(message));
    return response;
  });
} else {
  const http = createServer();
  const options = { noServer: true, clientTracking: false };
  const server = new WebSocketServer({ ...options, perMessageDeflate: false });
  http.on("upgrade", (request, stream, head) => {
    server.handleUpgrade(request, stream, head, (socket) => {
      open((message) => socket.send(message, { binary: false }));
    });
  });
  http.listen(0, "127.0.0.1", () => listening(http.address().port));
}
