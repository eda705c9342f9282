// One room over Socket.IO, its broadcasts through Redis streams.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { Redis } from "ioredis";
import { Server } from "socket.io";

const http = createServer();
// As its performance guide has it: no polling, no compression. Connection state recovery would cost it more.
const io = new Server(http, {
  transports: ["websocket"],
  perMessageDeflate: false,
  adapter: createAdapter(new Redis(process.env.REDIS_PORT)),
});
io.on("connection", (socket) => {
  socket.join("room");
  socket.on("message", (text) => io.to("room").emit("message", text));
});
http.listen(0, "127.0.0.1", 4096, () => console.log(`listening ${http.address().port}`));
