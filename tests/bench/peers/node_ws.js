/** Version 1 on Node with ws, written plainly: a Map, a loop, and send. In memory. */
import { createServer } from "node:http";
import process from "node:process";
import { jwtVerify } from "jose";
import { WebSocketServer } from "ws";

const secret = new TextEncoder().encode(process.env.JWT_SECRET);
const clients = new Map();

function broadcast(message, excludedUserId) {
  for (const [userId, sockets] of clients) {
    if (userId === excludedUserId) continue;
    for (const socket of sockets) socket.send(message);
  }
}

const http = createServer((_request, response) => {
  const users = [...clients.keys()].sort((a, b) => a - b)
    .map((id) => ({ id, username: `user${id}` }));
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ online_users: users }));
});
const server = new WebSocketServer({ noServer: true });
http.on("upgrade", async (request, stream, head) => {
  const { searchParams } = new URL(request.url, "http://localhost");
  const { payload } = await jwtVerify(searchParams.get("token"), secret);
  server.handleUpgrade(request, stream, head, (socket) => {
    const userId = Number(payload.sub);
    const sockets = clients.get(userId) ?? new Set();
    clients.set(userId, sockets.add(socket));
    if (sockets.size === 1) {
      broadcast(JSON.stringify({ type: "user_online", userId }), userId);
    }
    socket.on("error", console.error);
    socket.on("close", () => {
      if (!sockets.delete(socket) || sockets.size > 0) return;
      clients.delete(userId);
      broadcast(JSON.stringify({ type: "user_offline", userId }));
    });
  });
});
http.listen(0, "127.0.0.1", () => {
  console.log(`listening ${http.address().port}`);
});
