/** What people do every day, and what has gone wrong with it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, stage } from "./stage.js";
import { Window, until } from "./window.js";

const CHINESE = { locale: "zh-CN" };

const here = stage();
const { enter } = here;

/** @param {Window} window @param {string} name */
async function choose(window, name) {
  await window.page.locator("#join-room").fill(name);
  await window.page.keyboard.press("Enter");
  await window.page.getByRole("heading", { name, exact: true }).waitFor();
}

const focused = (/** @type {Window} */ { page }) => page.evaluate(() => document.activeElement?.id);
const heading = (/** @type {Window} */ { page }) => page.locator("#room-name").textContent();

test("the skip link leads to the message box and joins no room", async () => {
  const ada = await enter("Ada");
  await ada.page.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).blur());
  await ada.page.locator("#skip").focus();
  await ada.page.keyboard.press("Enter");
  assert.equal(await focused(ada), "composer");
  assert.equal(await heading(ada), ada.room);
  assert.equal(await ada.page.getByRole("button", { name: "composer" }).count(), 0);
});

test("Back and forward go through the rooms that were chosen", async () => {
  const ada = await enter("Ada");
  await choose(ada, "second");
  await choose(ada, "third");
  await ada.page.goBack();
  await ada.page.getByRole("heading", { name: "second", exact: true }).waitFor();
  await ada.page.goBack();
  await ada.page.getByRole("heading", { name: ada.room, exact: true }).waitFor();
  await ada.page.goForward();
  await ada.page.getByRole("heading", { name: "second", exact: true }).waitFor();
});

test("on a phone Back closes an open drawer first", async () => {
  const ada = await enter("Ada", PHONE);
  await ada.page.getByRole("button", { name: "Rooms" }).tap();
  await ada.page.getByRole("button", { name: "Sign out" }).waitFor();
  await ada.page.goBack();
  await ada.page.getByRole("button", { name: "Sign out" }).waitFor({ state: "hidden" });
  assert.equal(await heading(ada), ada.room);
});

test("Back does not lead into a room that was left", async () => {
  const ada = await enter("Ada");
  await choose(ada, "to be left");
  await ada.page.getByRole("button", { name: "Leave room" }).click();
  await ada.page.getByRole("heading", { name: ada.room, exact: true }).waitFor();
  await ada.page.goBack();
  await ada.page.waitForTimeout(200);
  assert.equal(await heading(ada), ada.room);
  assert.equal(await ada.page.locator("#room-list").getByText("to be left").count(), 0);
});

test("an address with space around a name, or in another Unicode form, names the same room", async () => {
  const ada = await enter("Ada");
  await choose(ada, "café");
  for (const hash of ["#%20café%20", `#${encodeURIComponent("café".normalize("NFD"))}`, "#caf%C3%A9"]) {
    await ada.page.evaluate((room) => (location.hash = room), `#${encodeURIComponent(ada.room)}`);
    await ada.page.getByRole("heading", { name: ada.room, exact: true }).waitFor();
    await ada.page.evaluate((hash) => (location.hash = hash), hash);
    await ada.page.getByRole("heading", { name: "café", exact: true }).waitFor();
  }
  assert.equal(await ada.page.locator("#room-list [data-room]").filter({ hasText: /caf/ }).count(), 1);
});

test("an address that names no possible room says why, and is no trap for Back", async () => {
  const ada = await enter("Ada");
  await choose(ada, "second");
  await ada.page.evaluate(() => (location.hash = `#${"x".repeat(200)}`));
  await ada.page.locator("#join-error").getByText("128 bytes").waitFor();
  await until(async () => (await heading(ada)) !== "x".repeat(200), "a room is open");
  await ada.page.goBack();
  await ada.page.goBack();
  await ada.page.getByRole("heading", { name: ada.room, exact: true }).waitFor();
});

for (const fragment of ["#100%", "#%", "#%E0%A4%A"]) {
  test(`the address ${fragment} does no harm, in the room or on the card`, async () => {
    const ada = await enter("Ada");
    await ada.page.evaluate((hash) => (location.hash = hash), fragment);
    await ada.say("still here");
    await ada.shows("still here");
    assert.equal(await heading(ada), ada.room);
    await ada.page.getByRole("button", { name: "Sign out" }).click();
    await ada.page.evaluate((hash) => (location.hash = hash), fragment);
    await ada.page.evaluate(() => (location.hash = "#elsewhere"));
    await until(async () => (await ada.page.getByRole("combobox", { name: "Room", exact: true }).inputValue()) === "elsewhere", "the card follows the address");
  });
}

for (const device of [{}, PHONE]) {
  test(`after Send the focus is in the box${"isMobile" in device ? " of a phone, too" : ""}`, async () => {
    const ada = await enter("Ada", device);
    await ada.box.click();
    await ada.page.keyboard.type("hello");
    const send = ada.page.getByRole("button", { name: "Send", exact: true });
    await ("isMobile" in device ? send.tap() : send.click());
    await ada.shows("hello");
    assert.equal(await focused(ada), "composer");
  });
}

test("links end where the address ends, with Chinese around them too", async () => {
  const ada = await enter("Ada");
  await ada.say("资料在 https://example.com/资料，请看 https://en.wikipedia.org/wiki/Rust_(programming_language)。");
  await ada.page.locator("#feed .sent a").first().waitFor();
  const links = await ada.page.locator("#feed a").allTextContents();
  assert.deepEqual(links, ["https://example.com/资料", "https://en.wikipedia.org/wiki/Rust_(programming_language)"]);
});

test("a note about many people tells no number that is not true", async () => {
  const ada = await enter("Ada");
  await ada.page.evaluate(async (room) => {
    const { connect } = await import("/parlor.js");
    window["crowd"] = Array.from({ length: 15 }, (_, index) => connect("/chat", { name: `guest ${index + 1}` }).join(room));
  }, ada.room);
  await ada.page.getByRole("complementary").getByText("16 here now").waitFor();
  const notes = ada.messages.locator(".note").filter({ hasText: "joined" });
  const told = async () => {
    let sum = 0;
    for (const text of await notes.allTextContents()) {
      const others = /and (\d+) others/.exec(text);
      sum += others ? Number(others[1]) + (text.match(/guest/g) ?? []).length : (text.match(/guest/g) ?? []).length;
    }
    return sum;
  };
  await until(async () => (await told()) === 15, "the notes name and count fifteen people");
});

test("copied messages have a line for the name, and no time", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  await bob.say("row 58");
  await ada.shows("row 58");
  const copied = await ada.page.evaluate(() => {
    getSelection()?.selectAllChildren(/** @type {Node} */ (document.querySelector("#feed .message .line")));
    return getSelection()?.toString().trim();
  });
  assert.match(copied, /^Bob\s*\n\s*row 58$/);
});

test("a room name that is too long in bytes is refused before it is joined, and the error goes away", async () => {
  const ada = await enter("Ada");
  const error = ada.page.locator("#join-error");
  await ada.page.locator("#join-room").fill("房".repeat(43));
  await ada.page.keyboard.press("Enter");
  await error.getByText("129").waitFor();
  await ada.page.locator("#join-room").fill("房间");
  assert.equal(await error.textContent(), "");
  await ada.page.keyboard.press("Enter");
  await ada.page.getByRole("heading", { name: "房间", exact: true }).waitFor();
});

test("one message cannot widen the pane for everyone", async () => {
  const ada = await enter("Ada");
  await ada.say("\u{1F468}\u200D".repeat(800));
  await ada.page.locator("#feed .sent").first().waitFor();
  const wide = await ada.page.locator("#messages").evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth);
  assert.equal(wide, 0);
});

test("nothing that people can write or be called widens anything, on a phone", async () => {
  const name = "Ẅ".repeat(64);
  const ada = await enter(name, { ...PHONE, room: "W".repeat(128) });
  const wide = "m".repeat(600);
  await ada.page.evaluate(
    async ([room, wide]) => {
      const { connect } = await import("/parlor.js");
      const other = connect("/chat", { name: "@".repeat(64) }).join(room);
      const bodies = [
        { text: wide },
        { text: `\`${wide}\`` },
        { text: `\`\`\`\n${wide}\n\`\`\`` },
        { text: `https://example.com/${wide}` },
        { text: "a\u0300".repeat(900) },
        { text: wide, reply: { seq: 1 } },
        { odd: wide, [wide]: 1 },
        { type: "picture", path: `https://pictures.example.com/${wide}` },
        { type: "voice", path: `/page/${wide}.ogg` },
        { type: wide, path: wide },
      ];
      for (const body of bodies) await other.post(body);
      await other.react(1, "👨‍👩‍👧‍👦");
      other.typing();
    },
    [ada.room, wide],
  );
  await ada.say(`@${"@".repeat(64)} ${wide}`);
  await ada.page.locator("#feed .sent.mine").waitFor();
  for (const folded of await ada.page.locator("#feed summary").all()) await folded.click();
  const wider = () =>
    ada.page.evaluate(() =>
      [document.documentElement, ...document.querySelectorAll("#messages, .bar, .side, #composer-form, .above-composer, dialog[open]")]
        .filter(({ scrollWidth, clientWidth }) => clientWidth > 0 && scrollWidth > clientWidth)
        .map(({ id, className, scrollWidth, clientWidth }) => `${id || className}: ${scrollWidth} in ${clientWidth}`),
    );
  assert.deepEqual(await wider(), []);
  for (const opener of ["#show-people", "#show-rooms"]) {
    await ada.page.locator(opener).tap();
    assert.deepEqual(await wider(), [], opener);
    await ada.page.keyboard.press("Escape");
  }
});

test("a name with characters that cannot be seen is not taken, and the reason is shown", async () => {
  const eve = await enter("Eve");
  await eve.page.getByRole("button", { name: "Sign out" }).click();
  for (const [name, reason] of [["A\u202eecila\u202c", "no invisible characters"], ["\u200b\u3164\u2800", "visible character"]]) {
    await eve.page.getByLabel("Your name").fill(name);
    await eve.page.getByRole("button", { name: "Join", exact: true }).click();
    await eve.page.getByRole("alert").getByText(reason).waitFor();
  }
});

test("people of one name are told apart", async () => {
  const ada = await enter("Ada");
  const first = await enter("Sam", ada);
  const second = await enter("Sam", ada);
  await first.say("one");
  await second.say("two");
  await ada.shows("two");
  await until(async () => new Set(await ada.page.locator("#feed .who bdi").allTextContents()).size === 2, "two names that differ");
  for (const name of await ada.page.locator("#feed .who bdi").allTextContents()) assert.match(name, /^Sam · \w{4}$/);
});

test("everyone who is here is named at once, spoken or not, in a list that can be searched", async () => {
  const first = await enter("First");
  await first.page.evaluate(async (room) => {
    const { connect } = await import("/parlor.js");
    window["crowd"] = Array.from({ length: 12 }, (_, index) => connect("/chat", { name: `guest ${index + 1}` }).join(room));
    await Promise.all(window["crowd"].map((room) => room.joined()));
  }, first.room);
  const ada = await enter("Ada", first);
  const people = ada.page.getByRole("complementary");
  await people.getByText("14 here now").waitFor();
  const names = () => people.locator("#people-list .name").allTextContents();
  await until(async () => (await names()).length === 14, "all are named");
  await people.getByRole("searchbox", { name: "Find a person" }).fill("guest 1");
  assert.deepEqual(await names(), ["guest 1", "guest 10", "guest 11", "guest 12"]);
});

test("people of one name who never spoke are told apart in the list, oneself too", async () => {
  const sam = await enter("Sam");
  await enter("Sam", sam);
  const people = sam.page.getByRole("complementary");
  await people.getByText("2 here now").waitFor();
  await until(async () => new Set(await people.locator("#people-list .name").allTextContents()).size === 2, "two names that differ");
  for (const name of await people.locator("#people-list .name").allTextContents()) assert.match(name, /^Sam · \w{4}$/);
});

test("somebody who closes one of two tabs is still in the list", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  const twin = await Window.enter(bob.page.context(), `${here.gateway.url}#${encodeURIComponent(ada.room)}`, "Bob");
  await twin.page.close();
  const people = ada.page.getByRole("complementary");
  await ada.messages.getByText(/Bob left/).waitFor({ timeout: 3_000 }).catch(() => {});
  await people.getByRole("button", { name: "Bob" }).waitFor();
  await people.getByText("2 here now").waitFor();
});

test("leaving the only room is not signing out", async () => {
  const ada = await enter("Ada");
  await ada.page.getByRole("button", { name: "Leave room" }).click();
  await ada.page.getByRole("heading", { name: "No room is open" }).waitFor();
  assert.equal(await ada.page.locator("#my-name").textContent(), "Ada");
  await choose(ada, ada.room);
  await ada.say("back again");
  await ada.shows("back again");
});

test("who signs out is forgotten: the next person of the same name is somebody else", async () => {
  const ada = await enter("Ada");
  await ada.say("mine");
  await ada.shows("mine");
  await ada.page.getByRole("button", { name: "Sign out" }).click();
  assert.doesNotMatch(await ada.page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage })), /token":"/);
  await until(async () => (await ada.page.title()) === "lobby", "the title is the place again");
  await ada.page.getByRole("combobox", { name: "Room", exact: true }).fill(ada.room);
  await ada.join("Ada");
  await ada.shows("mine");
  assert.equal(await ada.page.locator(".message.mine").count(), 0);
});

test("a refusal at the first join keeps the name that was typed", async () => {
  const ada = await enter("Ada");
  await ada.page.getByRole("button", { name: "Sign out" }).click();
  await ada.page.getByLabel("Your name").fill("Typed Name");
  await ada.page.getByRole("combobox", { name: "Room", exact: true }).evaluate((input) => (input.value = "房".repeat(60)));
  await ada.page.getByRole("button", { name: "Join", exact: true }).click();
  await ada.page.getByRole("alert").getByText(/too long|128 bytes/).waitFor();
  assert.equal(await ada.page.getByLabel("Your name").inputValue(), "Typed Name");
});

test("a reload loses no draft, no unread count, no place and no line of what is new", async () => {
  const ada = await enter("Ada");
  await ada.others(ada.room, Array.from({ length: 60 }, (_, index) => `message ${index + 1}`));
  await ada.shows("message 60");
  await ada.box.fill("a draft");
  await choose(ada, "other");
  await ada.box.fill("another draft");
  await ada.others(ada.room, ["unread 1", "unread 2"]);
  await ada.page.getByRole("button", { name: `${ada.room} 2 unread` }).waitFor();
  await ada.page.reload();
  await ada.connected();
  assert.equal(await ada.box.inputValue(), "another draft");
  await ada.page.getByRole("button", { name: `${ada.room} 2 unread` }).click();
  await ada.shows("unread 2");
  assert.equal(await ada.box.inputValue(), "a draft");
  assert.equal(await ada.page.locator("#feed .new").count(), 1);
  const after = await ada.page.locator("#feed .new ~ .message .text").allTextContents();
  assert.deepEqual(after, ["unread 1", "unread 2"]);
});

test("a reply that is being written keeps what it replies to, in another room and over a reload", async () => {
  const ada = await enter("Ada");
  await ada.say("a question");
  await ada.shows("a question");
  await ada.box.press("Alt+ArrowUp");
  await ada.box.fill("an answer");
  const about = ada.page.getByRole("status").getByText("Replying to You: a question");
  await about.waitFor();
  await choose(ada, "aside");
  await about.waitFor({ state: "hidden" });
  await ada.page.getByRole("button", { name: ada.room, exact: true }).click();
  await about.waitFor();
  await ada.page.reload();
  await ada.connected();
  await about.waitFor();
  assert.equal(await ada.box.inputValue(), "an answer");
  await ada.box.press("Enter");
  await ada.page.locator("#feed .sent .quote").getByText("You: a question").waitFor();
});

test("what came while the page was closed is marked as new, and is counted in other rooms", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  await bob.say("seen");
  await ada.shows("seen");
  await ada.page.goto("about:blank");
  await bob.say("missed");
  await bob.shows("missed");
  await ada.page.goto(here.gateway.url);
  await ada.connected();
  await ada.shows("missed");
  assert.deepEqual(await ada.page.locator("#feed .new ~ .message .text").allTextContents(), ["missed"]);
});

test("the place in a room is kept for the way back and over a reload", async () => {
  const ada = await enter("Ada");
  await ada.others(ada.room, Array.from({ length: 120 }, (_, index) => `message ${index + 1}`));
  await ada.shows("message 120");
  const scroller = ada.page.locator("#messages");
  await scroller.evaluate((scroller) => (scroller.scrollTop -= 1_500));
  const first = () =>
    scroller.evaluate((scroller) => {
      const { top } = scroller.getBoundingClientRect();
      return [...scroller.querySelectorAll(".message")].find((row) => row.getBoundingClientRect().bottom > top)?.querySelector(".text")?.textContent;
    });
  const place = await first();
  await choose(ada, "elsewhere");
  await ada.page.getByRole("button", { name: ada.room, exact: true }).click();
  await until(async () => (await first()) === place, `${place} is in view again`);
  await ada.page.waitForTimeout(700);
  await ada.page.reload();
  await until(async () => (await first()) === place, `${place} is in view after the reload`, 15_000);
});

test("posts that a reload interrupts arrive once", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  // The gateway hears the posts, and the page never hears its answers.
  await ada.page.evaluate(() => {
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (text) {
      this.onmessage = () => {};
      send.call(this, text);
    };
  });
  await ada.say("one");
  await ada.say("two");
  await bob.shows("one");
  ada.page.on("dialog", (dialog) => dialog.accept());
  await ada.page.reload();
  await ada.connected();
  await bob.shows("two");
  await until(async () => (await ada.page.locator("#feed .sent.mine .text").count()) === 2, "both are confirmed");
  assert.deepEqual(await bob.texts(), ["one", "two"]);
  assert.deepEqual(await ada.texts(), ["one", "two"]);
});

test("a post that failed is still there after a reload, and can be sent again", async () => {
  const ada = await enter("Ada");
  await ada.page.routeWebSocket(/\/chat$/, (page) => {
    const gateway = page.connectToServer();
    page.onMessage((text) => {
      const { op, id } = JSON.parse(String(text));
      if (op === "post") page.send(JSON.stringify({ op: "error", id, code: "refused", message: "no" }));
      else gateway.send(text);
    });
  });
  ada.page.on("dialog", (dialog) => dialog.accept());
  await ada.page.reload();
  await ada.connected();
  await ada.say("keep me");
  await ada.page.getByText("Not sent: the message was refused").waitFor();
  const next = here.watch(new Window(await ada.page.context().newPage()));
  await until(async () => (await ada.page.evaluate(() => sessionStorage["parlor.session"])).includes('"failed":[{'), "it is kept");
  const kept = await ada.page.evaluate(() => ({ ...sessionStorage }));
  await ada.page.close({ runBeforeUnload: false });
  // As a browser does with a tab that it discarded.
  await next.page.addInitScript((kept) => Object.assign(sessionStorage, kept), kept);
  await next.page.goto(here.gateway.url);
  await next.connected();
  await next.page.getByText("Not sent: the message was refused").waitFor();
  await next.page.getByRole("button", { name: "Send again" }).click();
  await next.shows("keep me");
  assert.deepEqual(await next.texts(), ["keep me"]);
});

test("two tabs of one person are one person", async () => {
  const ada = await enter("Ada");
  await ada.say("known");
  await ada.shows("known");
  const twin = await Window.enter(ada.page.context(), `${here.gateway.url}#${encodeURIComponent(ada.room)}`, "Ada");
  for (const window of [ada, twin]) await window.page.getByRole("complementary").getByText("1 here now").waitFor();
  await twin.page.close();
  await ada.page.getByRole("complementary").getByText("1 here now").waitFor();
});

test("code is shown as code, emoji alone are larger, and a body without text is folded", async () => {
  const ada = await enter("Ada");
  await ada.say("use `let x = <b>1</b>` or\n```rust\nfn main() {}\n```\ndone");
  await ada.say("👍🎉");
  await ada.page.evaluate(async (room) => {
    const { connect } = await import("/parlor.js");
    await connect("/chat", { name: "Robot" }).post(room, { position: [1, 2] });
  }, ada.room);
  await ada.page.locator("#feed details").waitFor();
  assert.equal(await ada.page.locator("#feed .text > code").textContent(), "let x = <b>1</b>");
  assert.equal(await ada.page.locator("#feed pre.code code").first().textContent(), "fn main() {}");
  assert.equal(await ada.page.locator("#feed .emoji").textContent(), "👍🎉");
  assert.equal(await ada.page.locator("#feed details pre").isVisible(), false);
  assert.equal(await ada.page.locator("#feed b").count(), 0);
});

test("pictures of this origin are shown, others are links", async () => {
  const ada = await enter("Ada");
  await ada.page.evaluate(async (room) => {
    const { connect } = await import("/parlor.js");
    const chat = connect("/chat", { name: "Robot" });
    await chat.post(room, { type: "picture", path: "/page/icon-192.png" });
    await chat.post(room, { type: "picture", path: "https://elsewhere.example/p.png" });
    await chat.post(room, { type: "picture", path: "javascript:alert(1)" });
  }, ada.room);
  await ada.page.getByText("javascript:alert").waitFor();
  assert.equal(await ada.page.locator("#feed img.picture").count(), 1);
  assert.deepEqual(await ada.page.locator("#feed a").evaluateAll((links) => links.map(({ href }) => href)), ["https://elsewhere.example/p.png"]);
});

test("a reply shows what it replies to, for everyone, and is made with the keyboard alone", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  await ada.say("first question");
  await ada.say("second question");
  await bob.shows("second question");
  await bob.box.press("Alt+ArrowUp");
  await bob.box.press("Alt+ArrowUp");
  await bob.page.getByRole("status").getByText("Replying to Ada: first question").waitFor();
  await bob.say("an answer");
  await ada.page.getByRole("button", { name: "You: first question" }).waitFor();
  await bob.page.getByRole("button", { name: "Ada: first question" }).waitFor();
});

test("a name is offered after Chinese text, without a space before it", async () => {
  const ada = await enter("Ada");
  const ming = await enter("小明", ada);
  await ming.say("在");
  await ada.shows("在");
  await ada.box.pressSequentially("你好@小");
  await ada.page.getByRole("option", { name: "小明" }).waitFor();
  await ada.page.keyboard.press("Enter");
  assert.equal(await ada.box.inputValue(), "你好@小明 ");
  await ada.box.fill("");
  await ada.box.pressSequentially("mail@小");
  assert.equal(await ada.page.getByRole("option").count(), 0);
});

test("a mention is completed from the keyboard, counted and marked", async () => {
  const ada = await enter("Ada");
  const bob = await enter("Bob", ada);
  await ada.say("hello");
  await bob.shows("hello");
  await choose(ada, "elsewhere");
  await bob.box.pressSequentially("hi @a");
  await bob.page.getByRole("option", { name: "Ada" }).waitFor();
  await bob.box.press("Tab");
  assert.equal(await bob.box.inputValue(), "hi @Ada ");
  await bob.box.press("Enter");
  await ada.page.getByRole("button", { name: /unread, mentioned/ }).click();
  await ada.page.locator("#feed .mentioned mark").getByText("@Ada").waitFor();
});

test("unread messages show in the title and in the icon, and a notification comes by choice", async () => {
  const ada = await enter("Ada");
  await ada.page.context().grantPermissions(["notifications"]);
  await ada.page.evaluate(() => {
    window["notified"] = [];
    window["Notification"] = /** @type {any} */ (
      class {
        static permission = "granted";
        constructor(title, { body }) {
          window["notified"].push(`${title}: ${body}`);
        }
      }
    );
  });
  await choose(ada, "elsewhere");
  await ada.others(ada.room, ["nobody told"]);
  await until(async () => (await ada.page.title()).startsWith("(1)"), "the title counts");
  assert.match((await ada.page.locator("#favicon").getAttribute("href")) ?? "", /icon-unread/);
  assert.deepEqual(await ada.page.evaluate(() => window["notified"]), []);
  await ada.page.getByRole("button", { name: "Settings" }).click();
  await ada.page.getByLabel("Notifications").selectOption("mentions");
  await ada.page.getByRole("button", { name: "Close" }).click();
  await ada.others(ada.room, ["not for you", "for @ada, this"]);
  await until(async () => (await ada.page.evaluate(() => window["notified"].length)) > 0, "a notification");
  const [told, ...more] = await ada.page.evaluate(() => window["notified"]);
  assert.match(told, new RegExp(`^Grace.* · ${ada.room}: for @ada, this$`));
  assert.deepEqual(more, []);
});

test("somebody who is ignored is neither read nor counted", async () => {
  const ada = await enter("Ada");
  const eve = await enter("Eve", ada);
  await eve.say("spam");
  await ada.shows("spam");
  await ada.page.getByRole("complementary").getByRole("button", { name: "Eve" }).click();
  await ada.page.getByRole("button", { name: "Ignore", exact: true }).click();
  await ada.messages.getByText("A message of somebody you ignore.").waitFor();
  assert.equal(await ada.messages.getByText("spam").count(), 0);
  await choose(ada, "elsewhere");
  await eve.say("more spam");
  await eve.shows("more spam");
  await ada.page.waitForTimeout(300);
  assert.equal(await ada.page.getByRole("button", { name: /unread/ }).count(), 0);
});

test("a Chinese browser gets a Chinese page, and the choice of a language stays", async () => {
  const window = new Window(await (await here.chromium.newContext({ viewport: { width: 1200, height: 750 }, ...CHINESE })).newPage());
  here.watch(window);
  const { page } = window;
  await page.goto(`${here.gateway.url}#${encodeURIComponent("大厅")}`);
  await page.getByLabel("你的名字").fill("小明");
  await page.getByRole("button", { name: "加入", exact: true }).click();
  await page.getByRole("status").getByText("已连接").waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "zh-Hans");
  await page.getByText("大厅 从这里开始").waitFor();
  const words = (await page.locator("#app").innerText()).match(/[A-Za-z]{3,}/g);
  assert.deepEqual(new Set(words), new Set(["lobby", "onlyOne", "support"]));
  await page.getByRole("button", { name: "设置" }).click();
  await page.getByLabel("语言").selectOption("en");
  await page.getByRole("button", { name: "Close" }).click();
  await page.getByRole("status").getByText("Connected", { exact: true }).waitFor();
  await page.reload();
  await page.getByRole("status").getByText("Connected", { exact: true }).waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
});

test("Chinese text on an English page is read out as Chinese", async () => {
  const ada = await enter("Ada");
  await ada.say("你好，世界");
  await ada.page.locator('#feed .text[lang="zh"]').waitFor();
});
