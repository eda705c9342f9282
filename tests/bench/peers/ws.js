// One room over ws: what a member sends goes through Redis pub/sub to every member.
import { createServer } from "node:http";
import { Redis } from "ioredis";
import { WebSocketServer } from "ws";

const publisher = new Redis(process.env.REDIS_PORT);
const subscriber = new Redis(process.env.REDIS_PORT);
const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("message", (text) => publisher.publish("room", text));
});
subscriber.on("messageBuffer", (_, text) => {
  for (const socket of server.clients) socket.send(text, { binary: false });
});
await subscriber.subscribe("room");
http.listen(0, "127.0.0.1", 4096, () => console.log(`listening ${http.address().port}`));
