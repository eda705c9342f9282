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

/** Of the server API. */
const TOKEN = "the token of a generator";

const here = stage({ api: TOKEN });

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
  // A task that was under way when the trace began or ended has no duration.
  const whole = (/** @type {{ dur?: number }} */ { dur }) => dur !== undefined;
  const own = traceEvents.filter((event) => event.name === "RunTask" && event.pid === pid && event.tid === tid).filter(whole);
  return own.map(({ tdur, dur }) => (tdur ?? dur) / 1_000).sort((a, b) => b - a);
}

const RATE = 1_000;
const SECONDS = 4;
/** Messages of one request: twenty requests per second. */
const BATCH = 50;

/**
 * Publishes over the server API, as a bot does, so that the page alone has the messages to show. Returns the rate that was
 * reached. @param {string} room
 */
async function publish(room) {
  const began = performance.now();
  for (let sent = 0; sent < RATE * SECONDS; sent += BATCH) {
    await new Promise((resolve) => setTimeout(resolve, began + (sent / RATE) * 1_000 - performance.now()));
    const lines = Array.from({ length: BATCH }, (_, index) => JSON.stringify({ room, body: { text: `message ${sent + index} of a busy room` } }));
    const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/x-ndjson" };
    const answer = await fetch(`${here.gateway.api}/v1/messages`, { method: "POST", headers, body: lines.join("\n") });
    assert.doesNotMatch(await answer.text(), /"code"/);
  }
  return (RATE * SECONDS * 1_000) / (performance.now() - began);
}

/** What the page's main thread did while the messages came. @param {Window} ada */
async function underLoad(ada) {
  await here.chromium.startTracing(ada.page, { categories: TRACED });
  await ada.page.evaluate(() => performance.mark("ada"));
  const began = performance.now();
  const published = publish("busy");
  for (let stroke = 0; stroke < 20; stroke++) {
    await ada.box.press("x");
    await ada.page.waitForTimeout(150);
  }
  const rate = await published;
  const seconds = (performance.now() - began) / 1_000;
  const work = tasks(await here.chromium.stopTracing(), "ada");
  assert.ok(work.length > 0, "the trace names no task of the page");
  return { rate, work, share: work.reduce((sum, task) => sum + task, 0) / 1_000 / seconds };
}

/** @param {Window} ada @param {string} room */
async function choose(ada, room) {
  await ada.page.locator("#join-room").fill(room);
  await ada.page.keyboard.press("Enter");
  await ada.page.getByRole("heading", { name: room, exact: true }).waitFor();
}

/** @param {Window} ada */
async function scrollUp(ada) {
  await ada.others("busy", Array.from({ length: 100 }, (_, index) => `before ${index}`));
  await ada.shows("before 99");
  await ada.page.locator("#messages").evaluate((scroller) => (scroller.scrollTop -= 1_000));
}

for (const [where, go] of /** @type {[string, (ada: Window) => Promise<void>][]} */ ([
  ["who reads along", async () => {}],
  ["who has scrolled up", scrollUp],
  ["who is in another room", (ada) => choose(ada, "quiet")],
])) {
  test(`at a thousand messages per second no task keeps a person waiting ${where}`, async (t) => {
    const ada = await Window.enter(here.chromium, `${here.gateway.url}#busy`, "Ada");
    await go(ada);
    const { rate, work, share } = await underLoad(ada);
    t.diagnostic(`${Math.round(rate)} messages/s; longest tasks: ${work.slice(0, 5).map(Math.round)} ms of ${work.length}; ${Math.round(share * 100)} % of a processor`);
    assert.ok(rate >= 0.9 * RATE, `the generator reached ${Math.round(rate)} messages/s of ${RATE}: this machine is too busy to tell`);
    assert.equal(await ada.box.inputValue(), "x".repeat(20));
    assert.ok(work[0] <= LONGEST_TASK_MS, `longest tasks: ${work.slice(0, 10).map(Math.round)}`);
    assert.ok(share <= SHARE, `the page needed ${share} of a processor`);
    if (where === "who is in another room") await choose(ada, "busy");
    else await ada.page.locator("#jump").click({ timeout: 1_000 }).catch(() => {});
    const last = async () => (await ada.texts()).some((text) => Number(text.split(" ")[1]) === RATE * SECONDS - 1);
    await until(last, "the last one is shown", 60_000);
    await ada.page.context().close();
  });
}
