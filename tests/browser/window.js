/** A browser window as a person uses it: by labels and roles, never by the page's insides where that can be helped. */
import { access } from "node:fs/promises";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";

export async function browser() {
  await access(CHROMIUM).catch(() => {
    throw new Error(`${CHROMIUM} is missing: apt-get install chromium, or set CHROMIUM`);
  });
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS.split(" ") });
}

export class Window {
  /** What the browser complained about: there is to be nothing. @type {string[]} */
  complaints = [];

  /** @param {import("playwright-core").Page} page */
  constructor(page) {
    this.page = page;
    this.box = page.getByRole("textbox", { name: "Message" });
    this.messages = page.getByRole("region", { name: /^Messages in/ });
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (line) => {
      // Refused connections while no gateway runs are what these tests are about.
      if (line.type() === "error" && !/WebSocket|ERR_CONNECTION/.test(line.text())) this.complaints.push(line.text());
    });
  }

  /**
   * Opens the page in a window of its own and joins.
   * @param {import("playwright-core").Browser | import("playwright-core").BrowserContext} browser
   * @param {string} url @param {string} name @param {import("playwright-core").BrowserContextOptions} [options]
   */
  static async enter(browser, url, name, options = {}) {
    const context = "newContext" in browser ? await browser.newContext({ viewport: { width: 1200, height: 750 }, ...options }) : browser;
    const window = new Window(await context.newPage());
    await window.page.goto(url);
    await window.join(name);
    return window;
  }

  /** @param {string} name */
  async join(name) {
    await this.page.getByLabel("Your name").fill(name);
    await this.page.getByRole("button", { name: "Join", exact: true }).click();
    await this.connected();
  }

  async connected() {
    await this.page.getByRole("status").getByText("Connected", { exact: true }).waitFor();
    await this.messages.getByText(/This is where|no longer kept|Earlier messages$/).first().waitFor();
  }

  /** @param {string} text */
  async say(text) {
    await this.box.fill(text);
    await this.box.press("Enter");
  }

  /** Waits until a message is shown and confirmed. @param {string} text */
  async shows(text) {
    await this.page.locator("#feed .sent .text").getByText(text, { exact: true }).first().waitFor();
  }

  /** All messages in the page, in order. */
  texts() {
    return this.page.locator("#feed .message .text").allTextContents();
  }

  /** Has other people post into a room, through the module that any site can import. @param {string} room @param {string[]} texts */
  async others(room, texts) {
    await this.page.evaluate(
      async ([room, texts]) => {
        const { connect } = await import("/parlor.js");
        const chat = connect("/chat", { name: "Grace", queue: texts.length, window: 64 });
        const joined = chat.join(room);
        await Promise.all(texts.map((text) => joined.post({ text })));
        chat.close();
      },
      [room, texts],
    );
  }
}

/** Waits until something holds. @param {() => Promise<boolean>} holds @param {string} what */
export async function until(holds, what, within = 10_000) {
  const deadline = Date.now() + within;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
