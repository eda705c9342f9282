/** The document of the server API is OpenAPI, by the schema that the OpenAPI Initiative publishes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Gateway } from "./gateway.js";

test("the document of the server API is valid OpenAPI 3.1, and every reference in it leads somewhere", async () => {
  const gateway = await Gateway.start({ api: "a token of the browser's tests" });
  try {
    const answer = await fetch(`${gateway.api}/openapi.json`);
    assert.equal(answer.status, 200);
    const validator = new Validator();
    const result = await validator.validate(await answer.json());
    assert.deepEqual(result.errors ?? [], []);
    assert.ok(result.valid);
    assert.equal(validator.version, "3.1");
    validator.resolveRefs();
  } finally {
    await gateway.stop();
  }
});
