import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { PHONE, stage } from "./stage.js";
import { Window, until } from "./window.js";

const here = stage();
const { enter } = here;

function numbered(count, from = 1) {
  return Array.from({ length: count }, (_, index) => `message ${from + index}`);
}

test("two windows talk to each other, and each message is shown once", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  await ada.say("good morning");
  await bob.shows("good morning");
  await bob.say("to you too");
  await ada.shows("to you too");
  for (const window of [ada, bob]) assert.deepEqual(await window.texts(), ["good morning", "to you too"]);
  const line = bob.page.getByRole("listitem").filter({ hasText: "good morning" });
  assert.match(await line.innerText(), /Ada/);
  assert.match(await line.locator("time").getAttribute("datetime"), /^\d{4}-\d\d-\d\dT/);
});

test("our own message is there before the server has answered", async () => {
  const ada = await enter("Ada");
  await ada.page.evaluate(() => {
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (text) {
      setTimeout(() => send.call(this, text), 1_500);
    };
  });
  await ada.say("hello");
  await ada.page.getByText("Sending…").waitFor({ timeout: 1_000 });
  await ada.shows("hello");
  assert.deepEqual(await ada.texts(), ["hello"]);
});

test("people see each other come, write and go", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  const people = ada.page.getByRole("complementary");
  await people.getByText("2 here now").waitFor();
  await people.getByText("Bob").waitFor();
  await ada.messages.getByText("Bob joined").waitFor();
  await bob.box.pressSequentially("hm");
  await ada.page.getByText("Bob is typing…").waitFor();
  await bob.page.getByRole("button", { name: "Sign out" }).click();
  await bob.page.getByLabel("Your name").waitFor();
  await people.getByText("1 here now").waitFor();
  await until(async () => (await people.getByText("Bob").count()) === 0, "Bob is gone from the list");
});

test("scrolling up brings older messages and keeps the reader's place", async () => {
  const ada = await enter("Ada");
  await ada.others(ada.room, numbered(130));
  await ada.page.reload();
  await ada.connected();
  await ada.shows("message 130");
  const oldest = async () => (await ada.texts())[0];
  while ((await oldest()) !== "message 1") {
    // Measured inside the page, where nothing can happen between a measurement and what it is for.
    const moved = await ada.page.locator("#messages").evaluate(async (scroller) => {
      const texts = () => [...scroller.querySelectorAll(".message .text")];
      const first = texts()[0].textContent;
      const top = () => texts().find(({ textContent }) => textContent === first).getBoundingClientRect().top;
      scroller.scrollTop = 0;
      const before = top();
      while (texts()[0].textContent === first) await new Promise(requestAnimationFrame);
      return { first, by: top() - before };
    });
    assert.ok(Math.abs(moved.by) < 2, `${moved.first} moved by ${moved.by}`);
  }
  await ada.messages.getByText(/This is where room \d+ begins/).waitFor();
  assert.deepEqual(await ada.texts(), numbered(130));
});

test("a reader who scrolled up stays there and sees that there are new messages", async () => {
  const ada = await enter("Ada");
  await ada.others(ada.room, numbered(60));
  await ada.shows("message 60");
  const scroller = ada.page.locator("#messages");
  await scroller.evaluate((scroller) => (scroller.scrollTop = 300));
  const before = await scroller.evaluate((scroller) => scroller.scrollTop);
  await ada.others(ada.room, ["one more", "and another"]);
  await ada.page.getByRole("button", { name: "2 new messages" }).click();
  await ada.shows("and another");
  assert.ok((await scroller.evaluate((scroller) => scroller.scrollTop)) > before);
  assert.equal(await ada.page.getByRole("button", { name: /new messages/ }).count(), 0);
});

test("a long room draws a bounded part of itself, and all of it can be reached", async () => {
  const ada = await enter("Ada");
  await ada.others(ada.room, numbered(1_500));
  await ada.shows("message 1500");
  const scroller = ada.page.locator("#messages");
  const seen = new Set();
  let most = 0;
  for (let round = 0; round < 400 && !seen.has("message 1"); round++) {
    const texts = await ada.texts();
    most = Math.max(most, texts.length);
    for (const text of texts) seen.add(text);
    await scroller.evaluate((scroller) => scroller.scrollBy(0, -2_000));
  }
  assert.ok(most <= 240, `${most} rows in the page`);
  assert.equal(seen.size, 1_500);
});

test("rooms are joined, switched and left, and the others count what is unread", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  const rooms = bob.page.getByRole("navigation", { name: "Rooms" });
  await rooms.getByRole("textbox", { name: "Join another room" }).or(rooms.getByRole("combobox")).first().fill("side table");
  await bob.page.keyboard.press("Enter");
  await bob.page.getByRole("heading", { name: "side table" }).waitFor();
  await ada.say("anyone here?");
  await rooms.getByRole("button", { name: `${ada.room} 1 unread` }).click();
  await bob.shows("anyone here?");
  assert.equal(await rooms.getByRole("button", { name: /unread/ }).count(), 0);
  await rooms.getByRole("button", { name: "side table" }).click();
  await bob.page.getByRole("button", { name: "Leave room" }).click();
  await bob.page.getByRole("heading", { name: ada.room, exact: true }).waitFor();
  assert.equal(await rooms.getByRole("button", { name: "side table" }).count(), 0);
});

test("two tabs of one browser are two people, and a reload changes neither", async () => {
  const ada = await enter("Ada");
  const bob = await Window.enter(ada.page.context(), `${here.gateway.url}#${encodeURIComponent(ada.room)}`, "Bob");
  await bob.say("from the second tab");
  await ada.shows("from the second tab");
  await bob.page.reload();
  await bob.connected();
  await bob.shows("from the second tab");
  assert.equal(await bob.page.locator(".message.mine").count(), 1);
  await ada.page.reload();
  await ada.connected();
  await ada.shows("from the second tab");
  assert.equal(await ada.page.locator(".message.mine").count(), 0);
  assert.deepEqual(bob.complaints, []);
});

test("text is shown as text, whatever it looks like", async () => {
  const ada = await enter(`<img src=x onerror="document.title='no'">`);
  const bob = await enter("Bob", ada);
  const hostile = `<script>document.title = "no"</script><b>bold</b> javascript:alert(1) https://example.com/"onmouseover=1`;
  await ada.say(hostile);
  await bob.shows(hostile);
  assert.equal(await bob.page.locator("#feed script, #feed b, #feed img").count(), 0);
  assert.deepEqual(await bob.page.locator("#feed a").evaluateAll((links) => links.map((link) => link.href)), ["https://example.com/"]);
  assert.doesNotMatch(await bob.page.title(), /^no/);
});

test("a message that is too long is said to be, and stays in the box", async () => {
  const ada = await enter("Ada");
  await ada.box.fill("ä".repeat(6_000));
  await ada.box.press("Enter");
  await ada.page.getByText(/bytes too long/).waitFor();
  assert.equal((await ada.box.inputValue()).length, 6_000);
});

test("on a phone nothing is wider than the screen, and both drawers can be reached", async () => {
  const ada = await enter("Ada", { ...PHONE, room: `a room with a name ${"that is long ".repeat(6)}` });
  await ada.say(`${"x".repeat(300)} and some words\n${"https://example.com/".padEnd(200, "y")}`);
  const width = () => ada.page.evaluate(() => Math.max(document.documentElement.scrollWidth, innerWidth));
  assert.equal(await width(), 360);
  await ada.page.getByRole("button", { name: "Rooms" }).tap();
  await ada.page.getByRole("button", { name: "Sign out" }).waitFor();
  assert.equal(await width(), 360);
  await ada.page.keyboard.press("Escape");
  await ada.page.getByRole("button", { name: /^People/ }).tap();
  await ada.page.getByRole("complementary").getByText("Ada").waitFor();
  assert.equal(await width(), 360);
  const scrolls = await ada.page.locator("#messages").evaluate((scroller) => scroller.scrollWidth > scroller.clientWidth);
  assert.equal(scrolls, false);
});

test("everything can be done with the keyboard", async () => {
  const ada = await enter("Ada");
  const { page } = ada;
  const focus = () =>
    page.evaluate(() => {
      const { activeElement: at } = document;
      return at && at !== document.body ? at.id || at.ariaLabel || at.textContent : "nothing";
    });
  assert.equal(await focus(), "composer");
  await page.keyboard.type("typed");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("on two lines");
  await page.keyboard.press("Enter");
  await ada.shows("typed\non two lines");
  await page.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).blur());
  const stops = [];
  for (let stop = 0; stop < 30; stop++) {
    await page.keyboard.press("Tab");
    const name = await focus();
    // Past the last stop comes the browser itself, then the first again.
    if (name === "nothing") continue;
    if (stops.includes(name)) break;
    stops.push(name);
    const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(ring, "none", `${name} shows that it has the focus`);
  }
  for (const wanted of ["join-room", "sign-out", "leave", "messages", "composer", "Send"]) assert.ok(stops.includes(wanted), `${wanted} is among ${stops}`);
  await page.locator("#join-room").focus();
  await page.keyboard.type("by keyboard");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "by keyboard" }).waitFor();
  assert.equal(await focus(), "composer");
});

test("new messages are read out, history is not", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  const log = ada.page.getByRole("log");
  assert.equal(await log.getAttribute("aria-live"), "polite");
  await bob.say("read this out");
  await log.getByText("Bob: read this out").waitFor();
  await ada.page.reload();
  await ada.connected();
  await ada.shows("read this out");
  assert.equal(await log.innerText(), "");
});

for (const scheme of ["light", "dark"]) {
  test(`in ${scheme}, everything has a name, a place and enough contrast`, async () => {
    const ada = await enter("Ada", { colorScheme: scheme });
    const bob = await enter("Bob", { room: ada.room, colorScheme: scheme });
    await ada.say("see https://example.com/");
    await bob.say("hello");
    await ada.shows("hello");
    assert.deepEqual(await ada.page.evaluate(problems), []);
  });
}

/** What someone with a checklist would find, run inside the page. */
function problems() {
  const found = [];
  for (const landmark of ["main", "nav", "aside"]) {
    const shown = [...document.querySelectorAll(landmark)].filter((element) => element.checkVisibility());
    if (shown.length !== 1) found.push(`${shown.length} of ${landmark}`);
  }
  if (!document.documentElement.lang || !document.title) found.push("no language or no title");
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`id ${id} twice`);
  for (const control of document.querySelectorAll("button, input, textarea, a")) {
    if (!control.checkVisibility()) continue;
    const label = control.labels?.[0]?.textContent ?? control.ariaLabel ?? control.textContent;
    if (!label.trim()) found.push(`${control.outerHTML} has no name`);
    const { width, height } = control.getBoundingClientRect();
    const target = width >= 24 && height >= 24;
    if (!target && control.tagName !== "A") found.push(`${control.id || label} is ${width} x ${height}`);
  }
  for (const image of document.querySelectorAll("img")) if (!image.hasAttribute("alt")) found.push("an image without alt");
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = channels(color).map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((channels(color)[3] ?? 1) === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest(".hidden, .skip, script")) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`"${texts.currentNode.data.trim()}" has contrast ${ratio.toFixed(2)}`);
  }
  return found;
}

test("another site can import the client and talk", async () => {
  const ada = await enter("Ada");
  const site = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<title>elsewhere</title>"));
  await new Promise((resolve) => site.listen(0, "127.0.0.1", () => resolve(undefined)));
  try {
    const context = await here.chromium.newContext();
    const page = await context.newPage();
    await page.goto(`http://localhost:${site.address().port}/`);
    const seq = await page.evaluate(
      async ([gateway, room]) => {
        const { connect } = await import(`${gateway}parlor.js`);
        return (await connect(`${gateway}chat`, { name: "Visitor" }).post(room, { text: "from elsewhere" })).seq;
      },
      [here.gateway.url, ada.room],
    );
    assert.equal(seq, 1);
    await ada.shows("from elsewhere");
    await context.close();
  } finally {
    site.closeAllConnections();
    site.close();
  }
});
