import assert from "node:assert/strict";
import { test } from "node:test";
import { Gateway } from "./gateway.js";
import { browser } from "./window.js";

/** What a browser's own socket agrees to and reads of a long message that it posts. @param {import("playwright-core").Page} page */
function echoed(page) {
  return page.evaluate(async () => {
    const socket = new WebSocket(new URL("/chat", location.href.replace(/^http/, "ws")));
    const text = "the same words again ".repeat(100);
    const say = (/** @type {object} */ message) => socket.send(JSON.stringify(message));
    return await new Promise((resolve, reject) => {
      socket.onopen = () => say({ op: "join", id: 1, room: "squeezed", name: "ada" });
      socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
      socket.onmessage = ({ data }) => {
        const { op, items } = JSON.parse(data);
        if (op === "joined") say({ op: "post", id: 2, room: "squeezed", body: { text } });
        if (op === "messages") resolve({ extensions: socket.extensions, same: items[0].body.text === text });
      };
    });
  });
}

test("a browser gets compressed what the ChatRoom lets be compressed, and reads the same", async () => {
  const chromium = await browser();
  const sent = { true: 0, false: 0 };
  for (const deflate of [true, false]) {
    const gateway = await Gateway.start({ deflate });
    const page = await chromium.newPage();
    await page.goto(`${gateway.url}page/console.html`);
    const { extensions, same } = await echoed(page);
    assert.equal(same, true);
    assert.equal(/permessage-deflate/.test(extensions), deflate, extensions);
    const metrics = await (await fetch(`${gateway.admin}/metrics`)).text();
    sent[`${deflate}`] = Number(/^parlor_sent_bytes_total (\d+)/m.exec(metrics)?.[1]);
    await gateway.stop();
  }
  await chromium.close();
  assert.ok(sent.true < sent.false - 1500, `${sent.true} bytes, and ${sent.false} without compression`);
});
