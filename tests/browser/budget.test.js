/** What the first load and a busy room may cost. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Gateway } from "./gateway.js";
import { Window, browser, until } from "./window.js";

/** Index, script, style, settings, icon, and for some browsers the manifest. */
const REQUESTS = 6;
const BYTES = 64 * 1024;
/** Typing is answered within this, in milliseconds, when no single piece of work takes longer … */
const LONGEST_TASK_MS = 100;
/** … but for a few, as the machine has more to do than this … */
const LATE = 3;
/** … and while the page needs no more than this part of a processor. */
const SHARE = 0.6;

/** @type {Gateway} */
let gateway;
/** @type {import("playwright-core").Browser} */
let chromium;

before(async () => {
  [gateway, chromium] = await Promise.all([Gateway.start(), browser()]);
});

after(async () => {
  await chromium?.close();
  await gateway?.stop();
});

test("the first load takes few requests and few bytes, in three round trips", async () => {
  const page = await chromium.newPage();
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  let bytes = 0;
  let requests = 0;
  session.on("Network.requestWillBeSent", () => requests++);
  session.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  await page.goto(gateway.url);
  await page.locator("#name:enabled").waitFor();
  await page.waitForLoadState("networkidle");
  assert.ok(requests <= REQUESTS, `${requests} requests`);
  assert.ok(bytes <= BYTES, `${bytes} bytes`);
  // All that the index refers to is asked for when it is there: nothing is found out by running something first.
  const late = await page.evaluate(() =>
    performance.getEntriesByType("resource").filter(({ initiatorType, name }) => initiatorType === "fetch" && !/config\.json$/.test(name)).map(({ name }) => name),
  );
  assert.deepEqual(late, []);
  await page.close();
});

test("at a thousand messages per second no task keeps a person waiting", async (t) => {
  const ada = await Window.enter(chromium, `${gateway.url}#busy`, "Ada");
  const crowd = await chromium.newPage();
  await crowd.goto(gateway.url);
  await ada.page.evaluate(() => {
    window["tasks"] = [];
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window["tasks"].push(duration);
    }).observe({ type: "longtask" });
  });
  const session = await ada.page.context().newCDPSession(ada.page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const busy = async () => (await session.send("Performance.getMetrics")).metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0;
  const [before, began] = [await busy(), performance.now()];
  const sent = crowd.evaluate(async () => {
    const { connect } = await import("/parlor.js");
    const room = connect("/chat", { name: "Crowd", queue: 20_000, window: 256 }).join("busy");
    await room.joined();
    const posts = [];
    for (let tick = 0; tick < 80; tick++) {
      for (let each = 0; each < 50; each++) posts.push(room.post({ text: `message ${tick * 50 + each} of a busy room` }));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await Promise.all(posts);
    return posts.length;
  });
  for (let stroke = 0; stroke < 20; stroke++) {
    await ada.box.press("x");
    await ada.page.waitForTimeout(150);
  }
  assert.equal(await sent, 4_000);
  await until(async () => (await ada.texts()).includes("message 3999 of a busy room"), "the last one is shown", 60_000);
  const share = (await busy() - before) / ((performance.now() - began) / 1_000);
  assert.equal(await ada.box.inputValue(), "x".repeat(20));
  const tasks = (await ada.page.evaluate(() => window["tasks"])).sort((a, b) => b - a);
  t.diagnostic(`long tasks: ${tasks.length}, longest ${tasks[0] ?? 0} ms, ${Math.round(share * 100)} % of a processor`);
  assert.ok((tasks[LATE] ?? 0) <= LONGEST_TASK_MS, `long tasks: ${tasks.slice(0, 10).map(Math.round)}`);
  assert.ok(share <= SHARE, `the page needed ${share} of a processor`);
  await Promise.all([ada.page.context().close(), crowd.close()]);
});
