// One room in uWebSockets' own pub/sub, which Bun carries: no bus and no history.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("a WebSocket is served here")),
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    // A member that is behind is waited for, as the others do.
    backpressureLimit: 256 << 20,
    open: (socket) => socket.subscribe("room"),
    message: (_, text) => server.publish("room", text),
  },
});
console.log(`listening ${server.port}`);
