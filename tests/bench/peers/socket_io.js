/** The events of version 1 on Socket.IO, with a room for each user. In memory. */
import { createServer } from "node:http";
import process from "node:process";
import { jwtVerify } from "jose";
import { Server } from "socket.io";

const secret = new TextEncoder().encode(process.env.JWT_SECRET);
const http = createServer();
const io = new Server(http, { transports: ["websocket"] });

io.use(async (socket, next) => {
  try {
    const { token } = socket.handshake.query;
    const { payload } = await jwtVerify(token, secret);
    socket.data.userId = Number(payload.sub);
    next();
  } catch (err) {
    next(err);
  }
});
io.on("connection", (socket) => {
  const { userId } = socket.data;
  const room = `user:${userId}`;
  const { rooms } = io.of("/").adapter;
  socket.join(room);
  if (rooms.get(room)?.size === 1) {
    socket.broadcast.except(room).emit("user_online", { userId });
  }
  socket.on("disconnect", () => {
    if (!rooms.has(room)) io.emit("user_offline", { userId });
  });
});
http.listen(0, "127.0.0.1", () => {
  console.log(`listening ${http.address().port}`);
});
