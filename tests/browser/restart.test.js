import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Front, Gateway, Redis } from "./gateway.js";
import { Window, browser, until } from "./window.js";

/** @type {import("playwright-core").Browser} */
let chromium;

before(async () => {
  chromium = await browser();
});

after(() => chromium?.close());

/** Two people in a room of a gateway of their own. @param {import("node:test").TestContext} t @param {{ redis?: string, key?: string }} [options] */
async function two(t, options) {
  const gateway = await Gateway.start(options);
  t.after(() => gateway.stop());
  const ada = await Window.enter(chromium, gateway.url, "Ada");
  const bob = await Window.enter(chromium, gateway.url, "Bob");
  t.after(() => Promise.all([ada, bob].map(({ page }) => page.context().close())));
  return { gateway, ada, bob, complaints: () => [...ada.complaints, ...bob.complaints] };
}

test("after a restart that forgot everything, a gap is shown and what was written meanwhile arrives once", async (t) => {
  const { gateway, ada, bob, complaints } = await two(t);
  await ada.say("before");
  await bob.shows("before");
  await gateway.restart(async () => {
    await ada.page.getByRole("status").getByText("No connection").waitFor();
    await ada.say("meanwhile");
    await ada.page.getByText("Sending…").waitFor();
  });
  for (const window of [ada, bob]) {
    await window.shows("meanwhile");
    await window.page.getByText(/The server started over here/).waitFor();
    assert.deepEqual(await window.texts(), ["before", "meanwhile"]);
  }
  await bob.say("after");
  await ada.shows("after");
  assert.deepEqual(await ada.texts(), ["before", "meanwhile", "after"]);
  assert.equal(await bob.page.locator(".message.mine").count(), 1);
  assert.deepEqual(complaints(), []);
});

test("after a restart with its history kept, nothing is missing and nothing is shown twice", async (t) => {
  const redis = await Redis.start();
  t.after(() => redis.stop());
  const { gateway, ada, bob, complaints } = await two(t, { redis: redis.address });
  await ada.say("one");
  await bob.shows("one");
  for (let round = 0; round < 3; round++) {
    await bob.say(`before the ${round}. restart`);
    await gateway.restart(async () => {
      await ada.say(`during the ${round}. restart`);
    });
    await until(async () => (await bob.texts()).length === 3 + 2 * round, "both messages are with Bob", 60_000);
    await until(async () => (await bob.page.locator(".sent .text").count()) === 3 + 2 * round, "all are confirmed", 60_000);
  }
  await bob.say("the end");
  await ada.shows("the end");
  const texts = await ada.texts();
  assert.deepEqual([...texts].sort(), [...new Set(texts)].sort());
  assert.equal(texts.length, 8);
  assert.deepEqual(await bob.texts(), texts);
  assert.equal(await ada.page.getByText(/missing/).count(), 0);
  assert.deepEqual(complaints(), []);
});

test("people are moved to another gateway while they talk, and do not notice", async (t) => {
  const redis = await Redis.start();
  t.after(() => redis.stop());
  const shared = { redis: redis.address, key: "one key for both gateways, of 32 bytes" };
  const { gateway, complaints } = await two(t, shared);
  const other = await Gateway.start(shared);
  t.after(() => other.stop());
  const front = await Front.start(gateway);
  t.after(() => front.stop());
  const ada = await Window.enter(chromium, `${front.url}#moving`, "Ada");
  t.after(() => ada.page.context().close());
  await ada.page.evaluate(() => {
    const strip = document.getElementById("offline");
    new MutationObserver(() => strip.hidden || (document.body.dataset.noticed = "yes")).observe(strip, { attributes: true });
  });
  const connections = async () => (await (await fetch(`${other.admin}/status`)).json()).connections;
  await ada.say("before");
  await ada.shows("before");
  assert.equal(await connections(), 0);
  front.to = other;
  await gateway.drain();
  for (let count = 1; (await connections()) < 1; count++) {
    assert.ok(count < 100, "she was never moved");
    await ada.say(`meanwhile ${count}`);
    await ada.page.waitForTimeout(200);
  }
  await ada.say("after");
  await ada.shows("after");
  const said = await ada.texts();
  assert.deepEqual(said, ["before", ...said.slice(1, -1).map((_, index) => `meanwhile ${index + 1}`), "after"]);
  assert.equal(await ada.page.locator("body").getAttribute("data-noticed"), null);
  assert.equal(await ada.page.getByText(/missing/).count(), 0);
  assert.deepEqual([...ada.complaints, ...complaints()], []);
});
