/** axe finds nothing to complain about, in every state of the page and of the console. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";
import { Gateway } from "./gateway.js";
import { PHONE, stage } from "./stage.js";
import { Window } from "./window.js";
import { SECRET, signed } from "./signer.js";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const here = stage({ secrets: { "login/key": SECRET }, spec: "  auth: {jwt: {keys: {secretRef: {name: login, key: key}}}}\n" });

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

for (const [look, options] of /** @type {const} */ ([["light", { colorScheme: "light" }], ["dark", { colorScheme: "dark" }]])) {
  test(`reactions, what is said about oneself, and a moderator's menus and log, in ${look}`, async () => {
    const room = `standing ${++rooms}`;
    const context = await here.chromium.newContext({ viewport: { width: 1200, height: 750 }, ...options });
    const mod = here.watch(new Window(await context.newPage()));
    await mod.page.goto(`${here.gateway.url}#${new URLSearchParams({ token: signed({ sub: "m1", name: "Mod", role: "moderator" }), room })}`);
    await mod.join("Mod");
    const ada = await here.enter("Ada", { room, ...options });
    for (const text of ["to be edited", "to be deleted", "with a reaction"]) await ada.say(text);
    await mod.shows("with a reaction");
    await mod.page.evaluate(async (room) => {
      const { connect } = await import("/parlor.js");
      const joined = connect("/chat", { name: "Eve" }).join(room);
      await joined.react(3, "🎉");
    }, room);
    await ada.page.getByRole("button", { name: /^🎉/ }).click();
    await ada.page.locator(".reaction[aria-pressed=true]").waitFor();
    await ada.box.press("ArrowUp");
    assert.deepEqual(await violations(ada.page), [], "editing, and a reaction of one's own");
    await ada.box.press("Escape");
    for (const action of [{ action: "slow", seconds: 60 }, { action: "mute", person: "u9" }, { action: "delete", seq: 2 }]) {
      await mod.page.evaluate(async ([token, room, action]) => {
        const { connect } = await import("/parlor.js");
        const { action: name, ...details } = /** @type {any} */ (action);
        await connect("/chat", { name: "Mod", token: () => token }).join(room).moderate(name, details);
      }, [signed({ sub: "m1", name: "Mod", role: "moderator" }), room, action]);
    }
    await ada.page.getByRole("status").getByText("This room is slow").waitFor();
    await ada.say("one");
    await ada.say("two");
    await ada.page.getByText(/^Your next message goes out/).waitFor();
    assert.deepEqual(await violations(ada.page), [], "a slow room, and a post that waits");
    await mod.page.getByRole("button", { name: "Moderate", exact: true }).click();
    assert.deepEqual(await violations(mod.page), [], "the menu of a moderator");
    await mod.page.locator("#menu").getByRole("button", { name: "Make the room read-only" }).click();
    await ada.page.getByRole("status").getByText("read-only").waitFor();
    await ada.box.fill("not now");
    await ada.box.press("Enter");
    await ada.page.getByRole("alert").getByText("read-only").waitFor();
    assert.deepEqual(await violations(ada.page), [], "a read-only room");
    await mod.page.getByRole("button", { name: "Moderate", exact: true }).click();
    await mod.page.locator("#menu").getByRole("button", { name: "Moderation log" }).click();
    await mod.page.getByText("Mod deleted a message of Ada.").waitFor();
    assert.deepEqual(await violations(mod.page), [], "what moderators did");
    await mod.page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    await mod.page.getByRole("complementary").getByRole("button", { name: "Ada" }).click();
    await mod.page.locator("#menu").getByRole("button", { name: "Remove from the room" }).click();
    await ada.page.getByRole("alert").getByText("You were removed").waitFor();
    assert.deepEqual(await violations(ada.page), [], "the card with a reason");
  });

  test(`a refused post, a gap, an error about a room and a search, in ${look}`, async () => {
    const room = `trouble ${++rooms}`;
    const context = await here.chromium.newContext({ viewport: { width: 1200, height: 750 }, ...options });
    const ada = here.watch(new Window(await context.newPage()));
    await ada.page.routeWebSocket(/\/chat$/, (page) => {
      const gateway = page.connectToServer();
      page.onMessage((text) => {
        const { op, id } = JSON.parse(String(text));
        if (op !== "post") return gateway.send(text);
        page.send(JSON.stringify({ op: "error", id, code: "refused", message: "no" }));
        page.send(JSON.stringify({ op: "gap", room, epoch: "other", from: 1 }));
        const joined = Array.from({ length: 12 }, (_, index) => ({ id: `guest${index}`, name: `Guest ${index}` }));
        page.send(JSON.stringify({ op: "presence", room, members: 13, joined, left: [] }));
        page.send(JSON.stringify({ op: "typing", room, from: joined[0] }));
      });
      gateway.onMessage((text) => page.send(text));
    });
    await ada.page.goto(`${here.gateway.url}#${encodeURIComponent(room)}`);
    await ada.join("Ada");
    await ada.say("refused");
    await ada.page.getByText("Not sent: the message was refused").waitFor();
    await ada.page.getByText("The server started over here").waitFor();
    await ada.page.locator("#join-room").fill("房".repeat(43));
    await ada.page.keyboard.press("Enter");
    await ada.page.locator("#join-error").getByText("128 bytes").waitFor();
    assert.deepEqual(await violations(ada.page), []);
  });
}

test("the card of a chat for invited people", async () => {
  const closed = await Gateway.start({ protocols: "native: {}", spec: '  auth: {anonymous: false}\n  page: {loginURL: "https://login.example.com/start"}\n' });
  const page = await here.chromium.newPage();
  await page.goto(closed.url);
  await page.getByRole("link", { name: "Sign in" }).waitFor();
  assert.deepEqual(await violations(page), []);
  await page.close();
  await closed.stop();
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
