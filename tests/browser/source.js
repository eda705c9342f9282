/** Loads a module of the page as a browser gets it, from its file. */
import { readFile } from "node:fs/promises";

const WEB = new URL("../../gateway/web/", import.meta.url);

/** @param {string} name a file that imports no other */
export async function load(name) {
  const text = await readFile(new URL(name, WEB), "utf8");
  return import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
}
