/** How long a person may not write, whatever their machine's clock says. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { clock, pass } from "./scripted.js";
import { load } from "./source.js";

const { Standing } = await load("standing.js");
const HOUR = 3_600_000;

beforeEach(() => clock.start());
afterEach(() => clock.stop());

for (const [words, by] of /** @type {[string, number][]} */ ([["an hour slow", -HOUR], ["an hour fast", HOUR]])) {
  test(`on a machine whose clock is ${words}, a mute of a minute lasts a minute`, async () => {
    const standing = new Standing();
    const until = clock.wall + 60_000;
    clock.set(by);
    standing.told({ code: "muted", until, remaining: 60_000 });
    assert.equal(standing.grave?.until, clock.wall + 60_000, "by this machine's clock");
    await pass(59_000, 1_000);
    assert.equal(standing.grave?.code, "muted");
    await pass(2_000, 1_000);
    assert.equal(standing.grave, undefined);
  });
}

test("a clock that is set back makes no mute longer", async () => {
  const standing = new Standing();
  standing.told({ code: "muted", until: clock.wall + 60_000, remaining: 60_000 });
  clock.set(-HOUR);
  await pass(61_000, 1_000);
  assert.equal(standing.grave, undefined);
});

test("what a refusal told is forgotten when the room is joined again", () => {
  const standing = new Standing();
  standing.failed("muted");
  assert.equal(standing.grave?.code, "muted");
  standing.clear();
  assert.equal(standing.grave, undefined);
});
