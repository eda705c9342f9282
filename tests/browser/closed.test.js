/** A ChatRoom without anonymous people, and a page that was set up otherwise. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Gateway } from "./gateway.js";
import { Window, browser, until } from "./window.js";

const KEY = "one key for both gateways, of 32 bytes";
const CLOSED = `  auth: {anonymous: false}
  page: {console: false, loginURL: "https://login.example.com/start", mediaHosts: [pictures.example.com]}
`;

/** @type {import("playwright-core").Browser} */
let chromium;
/** @type {Gateway} */
let gateway;
/** @type {string} a token that the gateway's key signed */
let token;

before(async () => {
  chromium = await browser();
  const open = await Gateway.start({ key: KEY });
  const ada = await Window.enter(chromium, open.url, "Ada");
  token = await ada.page.evaluate(() => JSON.parse(sessionStorage["parlor.session"]).token);
  await ada.page.context().close();
  await open.stop();
  gateway = await Gateway.start({ key: KEY, protocols: 'native: {allowedOrigins: ["*"]}', spec: CLOSED });
});

after(async () => {
  await chromium?.close();
  await gateway?.stop();
});

test("without a token the card asks to sign in, and says so plainly", async () => {
  const page = await chromium.newPage();
  await page.goto(gateway.url);
  const login = page.getByRole("link", { name: "Sign in" });
  await login.waitFor();
  assert.equal(await login.getAttribute("href"), "https://login.example.com/start");
  assert.equal(await page.getByText("No account needed").count(), 0);
  assert.equal(await page.getByLabel("Your name").isVisible(), false);
  await page.close();
});

test("a token in the address lets in, is taken out of the address, and holds over a reload", async () => {
  const window = new Window(await chromium.newPage());
  const { page } = window;
  await page.goto(`${gateway.url}#token=${encodeURIComponent(token)}&room=closed`);
  await page.locator("#name:enabled").waitFor();
  assert.doesNotMatch(page.url(), /token/);
  await window.join("Ada");
  await window.say("let in");
  await window.shows("let in");
  await page.reload();
  await window.connected();
  await window.shows("let in");
  assert.equal(await page.locator(".message.mine").count(), 1);
  assert.equal(await page.evaluate((token) => JSON.stringify({ ...localStorage }).includes(token), token), false);
  await page.close();
});

test("a link with a token lets in from the card, too, in the tab that is open", async () => {
  const window = new Window(await chromium.newPage());
  await window.page.goto(gateway.url);
  await window.page.getByRole("link", { name: "Sign in" }).waitFor();
  await window.page.evaluate((token) => (location.hash = `#token=${encodeURIComponent(token)}&room=closed`), token);
  await window.join("Ada");
  assert.doesNotMatch(window.page.url(), /token/);
  await window.page.getByRole("heading", { name: "closed", exact: true }).waitFor();
  await window.page.close();
});

test("a token that is not valid is said to be, and nobody is let in as somebody else", async () => {
  const page = await chromium.newPage();
  await page.goto(`${gateway.url}#token=wrong&room=closed`);
  await page.getByLabel("Your name").fill("Eve");
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await until(async () => /valid token|令牌/.test((await page.locator("#enter-error").textContent()) ?? ""), "the card says why");
  await page.close();
});

test("a page without a console neither offers nor serves it", async () => {
  const window = new Window(await chromium.newPage());
  await window.page.goto(`${gateway.url}#token=${encodeURIComponent(token)}&room=closed`);
  await window.join("Ada");
  assert.equal(await window.page.getByText("Protocol console").isVisible(), false);
  assert.equal((await fetch(`${gateway.url}page/console.html`)).status, 404);
  await window.page.close();
});

test("pictures of an allowed host are shown", async () => {
  const window = new Window(await chromium.newPage());
  await window.page.route("https://pictures.example.com/**", (route) => route.fulfill({ contentType: "image/svg+xml", body: '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>' }));
  await window.page.goto(`${gateway.url}#token=${encodeURIComponent(token)}&room=pictures`);
  await window.join("Ada");
  await window.page.evaluate(async (token) => {
    const { connect } = await import("/parlor.js");
    await connect("/chat", { name: "Ada", token }).post("pictures", { type: "picture", path: "https://pictures.example.com/p.svg" });
  }, token);
  await until(() => window.page.evaluate(() => /** @type {HTMLImageElement | null} */ (document.querySelector("#feed img.picture"))?.naturalWidth === 4), "the picture is loaded");
  assert.deepEqual(window.complaints, []);
  await window.page.close();
});
