/** People who sign in with an OpenID provider: a real one, on loopback. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Gateway } from "./gateway.js";
import { CLIENT, Provider } from "./provider.js";
import { Window, browser, until } from "./window.js";

/** @type {import("playwright-core").Browser} */
let chromium;
/** @type {(() => unknown)[]} */
let ends = [];

before(async () => {
  chromium = await browser();
});

after(() => chromium?.close());

afterEach(async () => {
  for (const end of ends.reverse()) await end();
  ends = [];
});

/** A closed ChatRoom, its provider and a window on its card. @param {Parameters<typeof Provider.start>[0]} [options] */
async function closed(options) {
  const provider = await Provider.start(options);
  ends.push(() => provider.stop());
  const spec = `  auth: {anonymous: false, jwt: {issuer: "${provider.issuer}", audience: [${CLIENT}], keys: {jwksURL: "${provider.jwks}"}}}
  page: {openid: {issuer: "${provider.issuer}", clientId: ${CLIENT}, scopes: [profile]}}
`;
  const gateway = await Gateway.start({ spec, protocols: "native: {path: /chat}" });
  ends.push(() => gateway.stop());
  const window = new Window(await chromium.newPage());
  ends.push(() => window.page.context().close());
  await window.page.goto(`${gateway.url}#closed`);
  return { gateway, window };
}

/** @param {Window} window @param {string} name */
async function signIn({ page }, name) {
  await page.getByRole("button", { name: "Sign in" }).click();
  await Provider.signIn(page, name);
}

test("a person signs in with the provider, and is who it says, over a reload too", async () => {
  const { window } = await closed();
  const { page } = window;
  assert.equal(await page.getByLabel("Your name").isVisible(), false);
  await signIn(window, "Ada");
  await window.connected();
  assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), "closed");
  assert.doesNotMatch(page.url(), /code|state/);
  await window.say("let in");
  await window.shows("let in");
  await page.reload();
  await window.connected();
  await window.shows("let in");
  assert.equal(await page.locator("#my-name").textContent(), "Ada");
  assert.equal(await page.locator(".message.mine").count(), 1);
  // The provider's own page asks for fonts and an icon that are not there.
  assert.deepEqual(window.complaints.filter((line) => !/Failed to load resource/.test(line)), []);
});

test("who signs out is forgotten by the page", async () => {
  const { window } = await closed();
  await signIn(window, "Ada");
  await window.connected();
  await window.page.getByRole("button", { name: "Sign out" }).click();
  await window.page.getByRole("button", { name: "Sign in" }).waitFor();
  const kept = await window.page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  assert.doesNotMatch(kept, /eyJ|refresh/);
});

test("an answer to what this tab did not ask signs nobody in", async () => {
  const { gateway, window } = await closed();
  const { page } = window;
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator("[name=login]").waitFor();
  await page.goto(`${gateway.url}?code=stolen&state=of-another`);
  await page.getByRole("alert").getByText("Signing in did not work").waitFor();
  await page.goto(`${gateway.url}?code=stolen&state=of-another`);
  await page.getByRole("button", { name: "Sign in" }).waitFor();
});

test("a token that ends is replaced, and the person stays", async () => {
  const { window } = await closed({ seconds: 4 });
  await signIn(window, "Ada");
  await window.connected();
  const first = await window.page.evaluate(() => sessionStorage["parlor.tokens"]);
  await until(async () => (await window.page.evaluate(() => sessionStorage["parlor.tokens"])) !== first, "another token");
  await window.page.waitForTimeout(1_500);
  await window.say("still here");
  await window.shows("still here");
});

test("a token that ends is replaced though the clock was set back meanwhile", async () => {
  const { window } = await closed({ seconds: 4 });
  await signIn(window, "Ada");
  await window.connected();
  const first = await window.page.evaluate(() => {
    const { now } = Date;
    Date.now = () => now() - 3_600_000;
    return sessionStorage["parlor.tokens"];
  });
  await until(async () => (await window.page.evaluate(() => sessionStorage["parlor.tokens"])) !== first, "another token");
});

test("a moderator whom the provider names has the buttons of one", async () => {
  const { window } = await closed({ claims: { role: "moderator" } });
  await signIn(window, "Ada");
  await window.connected();
  await window.page.getByRole("button", { name: "Moderate", exact: true }).waitFor();
});
