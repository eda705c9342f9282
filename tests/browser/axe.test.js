/** axe finds nothing to complain about, in every state of the page and of the console. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";
import { Gateway } from "./gateway.js";
import { PHONE, stage } from "./stage.js";
import { Window } from "./window.js";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const here = stage();

/** What axe says of a page, in short. @param {import("playwright-core").Page} page */
async function violations(page) {
  // Nothing that still moves is measured.
  await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState !== "running"));
  const session = await page.context().newCDPSession(page);
  // Past the page's policy, which lets no script in.
  await session.send("Runtime.evaluate", { expression: AXE });
  const found = await page.evaluate(async () => {
    const { violations } = await window["axe"].run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
  });
  await session.detach();
  return found;
}

let rooms = 0;

for (const [look, options] of /** @type {const} */ ([["light", { colorScheme: "light" }], ["dark", { colorScheme: "dark" }], ["Chinese", { locale: "zh-CN" }], ["phone", PHONE]])) {
  test(`the card, in ${look}`, async () => {
    const page = await here.chromium.newPage(/** @type {any} */ (options));
    await page.goto(here.gateway.url);
    await page.locator("#name:enabled").waitFor();
    assert.deepEqual(await violations(page), []);
    await page.close();
  });

  test(`a room with everything in it, its settings and its menus, in ${look}`, async () => {
    const room = `axe ${++rooms}`;
    const context = await here.chromium.newContext({ viewport: { width: 1200, height: 750 }, .../** @type {any} */ (options) });
    const { page } = new Window(await context.newPage());
    await page.goto(`${here.gateway.url}#${encodeURIComponent(room)}`);
    await page.locator("#name").fill("Ada");
    await page.locator("#enter [type=submit]").click();
    await page.locator("#connection[data-state=open]").waitFor();
    await page.evaluate(async (room) => {
      const { connect } = await import("/parlor.js");
      const chat = connect("/chat", { name: "Bob" });
      await chat.post(room, { text: "hello @Ada, `code` and https://example.com/a\n```\nblock\n```" });
      await chat.post(room, { type: "picture", path: "/page/icon-192.png" });
      await chat.post(room, { type: "voice", path: "/page/none.ogg" });
      await chat.post(room, { odd: true });
      await chat.post(room, { text: "an answer", reply: { seq: 1 } });
    }, room);
    await page.locator("#composer").fill("mine");
    await page.locator("#composer").press("Enter");
    await page.locator("#feed .mine.sent").waitFor();
    await page.locator("#composer").press("Alt+ArrowUp");
    assert.deepEqual(await violations(page), []);
    await page.locator("#composer").pressSequentially("@b");
    await page.locator("#suggestions .option").first().waitFor();
    assert.deepEqual(await violations(page), []);
    await page.locator("#composer").press("Escape");
    await page.locator("#feed .mine").hover();
    await page.locator("#feed .mine .more").click();
    await page.locator("#menu").waitFor();
    assert.deepEqual(await violations(page), [], "the menu of a message");
    await page.keyboard.press("Escape");
    for (const opener of ["#show-people", "#show-rooms"]) {
      if (!(await page.locator(opener).isVisible())) continue;
      await page.locator(opener).click();
      assert.deepEqual(await violations(page), [], opener);
      await page.keyboard.press("Escape");
      await page.locator("#shade").waitFor({ state: "hidden" });
    }
    if (await page.locator("#show-rooms").isVisible()) await page.locator("#show-rooms").click();
    await page.locator("#open-settings").click();
    await page.locator("dialog[open]").waitFor();
    assert.deepEqual(await violations(page), [], "settings");
    await context.close();
  });
}

test("a room without a connection, a post that waits and no room at all", async () => {
  const own = await Gateway.start();
  const ada = await Window.enter(here.chromium, `${own.url}#axe`, "Ada");
  await own.stop();
  await ada.page.getByRole("status").getByText("No connection").waitFor();
  await ada.say("waits");
  await ada.page.getByText("Sending…").waitFor();
  assert.deepEqual(await violations(ada.page), []);
  ada.page.on("dialog", (dialog) => dialog.accept());
  await ada.page.getByRole("button", { name: "Leave room" }).click();
  await ada.page.getByRole("heading", { name: "No room is open" }).waitFor();
  assert.deepEqual(await violations(ada.page), []);
  await ada.page.context().close();
});

for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
  test(`the console, in ${colorScheme}`, async () => {
    const page = await here.chromium.newPage({ colorScheme });
    await page.goto(`${here.gateway.url}page/console.html`);
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await page.getByRole("status").getByText("Connected", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.locator(".frames .in").first().waitFor();
    assert.deepEqual(await violations(page), []);
    await page.getByRole("button", { name: "Open a second pane" }).click();
    assert.deepEqual(await violations(page), [], "two panes");
    await page.close();
  });
}
