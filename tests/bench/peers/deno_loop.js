/** Version 1 on Deno, written plainly: a Map, a loop, and send. In memory. */
import { jwtVerify } from "jose";

const secret = new TextEncoder().encode(Deno.env.get("JWT_SECRET"));
const clients = new Map();

function broadcast(message, excludedUserId) {
  for (const [userId, sockets] of clients) {
    if (userId === excludedUserId) continue;
    for (const socket of sockets) {
      try {
        socket.send(message);
      } catch (err) {
        console.error(err);
      }
    }
  }
}

function attend(socket, userId) {
  socket.onopen = () => {
    const sockets = clients.get(userId) ?? new Set();
    clients.set(userId, sockets.add(socket));
    if (sockets.size === 1) {
      broadcast(JSON.stringify({ type: "user_online", userId }), userId);
    }
  };
  socket.onclose = () => {
    const sockets = clients.get(userId);
    if (!sockets?.delete(socket) || sockets.size > 0) return;
    clients.delete(userId);
    broadcast(JSON.stringify({ type: "user_offline", userId }));
  };
}

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`listening ${port}`),
}, async (request) => {
  const url = new URL(request.url);
  if (url.pathname === "/users/online") {
    const users = [...clients.keys()].sort((a, b) => a - b)
      .map((id) => ({ id, username: `user${id}` }));
    return Response.json({ online_users: users });
  }
  const token = url.searchParams.get("token") ?? "";
  const { payload } = await jwtVerify(token, secret);
  const { socket, response } = Deno.upgradeWebSocket(request);
  attend(socket, Number(payload.sub));
  return response;
});
