/** Loads a module of the page as a browser gets it, from its file. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const WEB = new URL("../../gateway/web/", import.meta.url);

/** @param {string} name a file that imports no other */
export async function load(name) {
  const text = await readFile(new URL(name, WEB), "utf8");
  return import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
}

/** The same for a file that imports others. @param {string} name */
export async function loadWhole(name) {
  const { outputFiles } = await build({ entryPoints: [fileURLToPath(new URL(name, WEB))], bundle: true, format: "esm", write: false });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString("base64")}`);
}
