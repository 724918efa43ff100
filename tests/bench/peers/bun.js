/** Version 1 on Bun, with its own publish and subscribe. In memory. */
import process from "node:process";
import { jwtVerify } from "jose";

const secret = new TextEncoder().encode(process.env.JWT_SECRET);
const counts = new Map();
const TOPIC = "presence";

// deno-lint-ignore no-undef -- this runs on Bun
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request, server) {
    const url = new URL(request.url);
    if (url.pathname === "/users/online") {
      const users = [...counts.keys()].sort((a, b) => a - b)
        .map((id) => ({ id, username: `user${id}` }));
      return Response.json({ online_users: users });
    }
    const token = url.searchParams.get("token");
    const { payload } = await jwtVerify(token, secret);
    server.upgrade(request, { data: { userId: Number(payload.sub) } });
  },
  websocket: {
    open(socket) {
      const { userId } = socket.data;
      const count = (counts.get(userId) ?? 0) + 1;
      counts.set(userId, count);
      socket.subscribe(TOPIC);
      if (count === 1) {
        socket.publish(TOPIC, JSON.stringify({ type: "user_online", userId }));
      }
    },
    close(socket) {
      const { userId } = socket.data;
      const count = counts.get(userId) - 1;
      if (count > 0) return void counts.set(userId, count);
      counts.delete(userId);
      server.publish(TOPIC, JSON.stringify({ type: "user_offline", userId }));
    },
    message() {},
  },
});
console.log(`listening ${server.port}`);
