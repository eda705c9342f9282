// Prints what is said in a room, and answers "ping" with "pong": node node.js ws://localhost:8080/chat lobby
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { connect } from "parlor-client";
// Node has a WebSocket of its own from version 22 on.
const WebSocket = globalThis.WebSocket ?? (await import("ws")).default;

const [url, name] = process.argv.slice(2);
// Kept between runs: who we are, and what was read.
const FILE = "parlor-bot.json";
const kept = read();
const chat = connect(url, { name: "bot", token: kept.token, WebSocket });
const room = chat.join(name, kept.position);

chat.addEventListener("error", ({ detail }) => console.error(`${detail.code}: ${detail.message}`));
room.addEventListener("refused", ({ detail }) => {
  console.error(`${name}: ${detail.message}`);
  process.exit(1);
});
room.addEventListener("messages", ({ detail }) => {
  for (const { seq, from, body } of detail.items) {
    console.log(`${seq} ${from.name}: ${body.text}`);
    if (body.text === "ping") room.post({ text: "pong" }, { key: `pong to ${seq}` }).catch(console.error);
  }
  // Written aside and renamed, so that the file is whole whenever the bot is stopped.
  writeFileSync(`${FILE}.new`, JSON.stringify({ token: chat.identity.token, position: room.position }));
  renameSync(`${FILE}.new`, FILE);
});

function read() {
  try {
    return JSON.parse(readFileSync(FILE, "utf8"));
  } catch {
    return {};
  }
}
