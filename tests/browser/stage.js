/**
 * What a file of page tests plays on: one gateway and one browser for all its tests, and windows that are closed after each
 * of them. A browser that complained fails the test.
 */
import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";
import { Gateway } from "./gateway.js";
import { Window, browser } from "./window.js";

export const PHONE = { viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true };

class Stage {
  /** @type {Gateway} */
  gateway;
  /** @type {import("playwright-core").Browser} */
  chromium;
  /** @type {Window[]} */
  windows = [];
  #rooms = 0;

  /** A window in a room that no other test uses. @param {string} name @param {any} [options] of the window, and its room */
  enter = async (name, { room = `room ${++this.#rooms}`, ...options } = {}) => {
    const window = this.watch(await Window.enter(this.chromium, `${this.gateway.url}#${encodeURIComponent(room)}`, name, options));
    return Object.assign(window, { room });
  };

  /** Has a window closed after the test, and its complaints counted. @param {Window} window */
  watch(window) {
    this.windows.push(window);
    return window;
  }

  async clear() {
    const complaints = this.windows.flatMap((window) => window.complaints);
    await Promise.all(this.windows.map(({ page }) => page.context().close()));
    this.windows = [];
    assert.deepEqual(complaints, []);
  }
}

/** Sets the stage for the tests of this file. @param {Parameters<typeof Gateway.start>[0]} [options] */
export function stage(options) {
  const here = new Stage();
  before(async () => {
    [here.gateway, here.chromium] = await Promise.all([Gateway.start(options), browser()]);
  });
  after(async () => {
    await here.chromium?.close();
    await here.gateway?.stop();
  });
  afterEach(() => here.clear());
  return here;
}
