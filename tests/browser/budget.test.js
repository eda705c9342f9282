/** What the first load and a busy room may cost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { stage } from "./stage.js";
import { Window, until } from "./window.js";

/** Index, script, style, settings, icon, and for some browsers the manifest. */
const REQUESTS = 6;
const BYTES = 64 * 1024;
/** Typing is answered within this, in milliseconds, as no single piece of work takes longer. */
const LONGEST_TASK_MS = 50;
/** The part of a processor that the page needs at most. */
const SHARE = 0.6;
const TRACED = ["disabled-by-default-devtools.timeline", "blink.user_timing"];

const here = stage();

test("the first load takes few requests and few bytes, in three round trips", async () => {
  const page = await here.chromium.newPage();
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  let bytes = 0;
  let requests = 0;
  session.on("Network.requestWillBeSent", () => requests++);
  session.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  await page.goto(here.gateway.url);
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

/**
 * The pieces of work of a page's main thread, longest first, in milliseconds of the processor's time: unlike the wall's, it
 * does not count what other processes do meanwhile. The page made itself known by a mark.
 * @param {Buffer} trace @param {string} mark
 */
function tasks(trace, mark) {
  const { traceEvents } = JSON.parse(trace.toString());
  const { pid, tid } = traceEvents.find(({ name, cat }) => name === mark && cat.includes("user_timing"));
  const own = traceEvents.filter((event) => event.name === "RunTask" && event.pid === pid && event.tid === tid);
  return own.map(({ tdur, dur }) => (tdur ?? dur) / 1_000).sort((a, b) => b - a);
}

test("at a thousand messages per second no task keeps a person waiting", async (t) => {
  const ada = await Window.enter(here.chromium, `${here.gateway.url}#busy`, "Ada");
  const crowd = await here.chromium.newPage();
  await crowd.goto(here.gateway.url);
  await here.chromium.startTracing(ada.page, { categories: TRACED });
  await ada.page.evaluate(() => {
    performance.mark("ada");
    window["waits"] = [];
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window["waits"].push(duration);
    }).observe({ type: "longtask" });
  });
  const began = performance.now();
  const sent = crowd.evaluate(async () => {
    const { connect } = await import("/parlor.js");
    const rooms = Array.from({ length: 50 }, (_, index) => connect("/chat", { name: `guest ${index}` }).join("busy"));
    await Promise.all(rooms.map((room) => room.joined()));
    const posts = [];
    for (let tick = 0; tick < 80; tick++) {
      posts.push(...rooms.map((room, index) => room.post({ text: `message ${tick * 50 + index} of a busy room` })));
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
  const last = async () => (await ada.texts()).some((text) => Number(text.split(" ")[1]) >= 3_950);
  await until(last, "the last ones are shown", 60_000);
  const seconds = (performance.now() - began) / 1_000;
  const work = tasks(await here.chromium.stopTracing(), "ada");
  assert.equal(await ada.box.inputValue(), "x".repeat(20));
  const share = work.reduce((sum, task) => sum + task, 0) / 1_000 / seconds;
  const waits = (await ada.page.evaluate(() => window["waits"])).sort((a, b) => b - a);
  t.diagnostic(`${Math.round(4_000 / seconds)} messages/s; longest tasks: ${work.slice(0, 5).map(Math.round)} ms of ${work.length}, ${Math.round(share * 100)} % of a processor; by the wall: ${waits.slice(0, 5).map(Math.round)} ms`);
  assert.ok(work[0] <= LONGEST_TASK_MS, `longest tasks: ${work.slice(0, 10).map(Math.round)}`);
  assert.ok(share <= SHARE, `the page needed ${share} of a processor`);
  await Promise.all([ada.page.context().close(), crowd.close()]);
});
