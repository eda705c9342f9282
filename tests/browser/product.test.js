/** The client as a product: its types, its size, and the package that is built from the same file. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { transform } from "esbuild";
import { WebSocketServer } from "ws";

const run = promisify(execFile);
const path = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));
const WEB = path("../../gateway/web/");
const MODULES = path("node_modules");
const LARGEST = 8 * 1024;

/** A folder of its own, removed after the test. @param {import("node:test").TestContext} t */
async function folder(t) {
  const made = await mkdtemp(join(tmpdir(), "parlor-client-"));
  t.after(() => rm(made, { recursive: true }));
  return made;
}

/** What the compiler says about files, under `strict`; nothing when they are right. @param {string} folder @param {string[]} args */
async function compile(folder, args) {
  const options = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2022,dom,dom.iterable", "--module", "nodenext", "--types", ""];
  return run(join(MODULES, ".bin/tsc"), [...options, ...args], { cwd: folder }).then(
    () => "",
    ({ stdout, stderr }) => stdout + stderr,
  );
}

/** The package, installed as `npm install parlor-client` does. @param {import("node:test").TestContext} t */
async function installed(t) {
  const made = await folder(t);
  const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", made], { cwd: join(WEB, "npm") });
  await writeFile(join(made, "package.json"), JSON.stringify({ private: true, type: "module" }));
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", join(made, stdout.trim().split("\n").at(-1) ?? "")], { cwd: made });
  return made;
}

test("the client is less than 8 KB, minified and compressed", async () => {
  const { code } = await transform(await readFile(join(WEB, "parlor.js"), "utf8"), { minify: true, format: "esm" });
  const size = gzipSync(code, { level: 9 }).length;
  assert.ok(size < LARGEST, `${size} bytes`);
});

test("the example of the README compiles under strict, with the types of every event", async (t) => {
  const made = await installed(t);
  const readme = await readFile(path("../../README.md"), "utf8");
  const example = /<script type="module">\n([\s\S]*?)<\/script>/.exec(readme)?.[1];
  assert.ok(example, "README has an example");
  await writeFile(join(made, "example.ts"), example.replace(/"https:[^"]*parlor.js"/, '"parlor-client"'));
  assert.equal(await compile(made, ["example.ts"]), "");
});

test("wrong uses do not compile", async (t) => {
  const made = await installed(t);
  const wrong = [
    'connect("/chat", {});',
    'connect("/chat", { name: 7 });',
    'room.addEventListener("messages", ({ detail }) => detail.text);',
    'room.addEventListener("gap", ({ detail }) => detail.to.toFixed());',
    'chat.addEventListener("state", ({ detail }) => detail.state === "dead");',
    "room.position.after;",
    'room.post("text");',
    "room.ready = true;",
  ];
  const head = 'import { connect } from "parlor-client";\nconst chat = connect("/chat", { name: "ada", token: async () => "t" });\nconst room = chat.join("lobby");\n';
  await writeFile(join(made, "right.ts"), `${head}room.addEventListener("typing", ({ detail }) => detail.from.name.trim());\n`);
  assert.equal(await compile(made, ["right.ts"]), "");
  for (const [index, line] of wrong.entries()) await writeFile(join(made, `wrong${index}.ts`), `${head}${line}\nexport {};\n`);
  const said = await compile(made, wrong.map((_, index) => `wrong${index}.ts`));
  for (const [index, line] of wrong.entries()) assert.match(said, new RegExp(`wrong${index}\\.ts\\(4,`), line);
});

test("the module has the types that it says it has", async (t) => {
  const made = await folder(t);
  await symlink(WEB, join(made, "web"));
  const check = 'import * as module from "./web/parlor.js";\nexport const version: string = module.version;\nexport const chat = module.connect("/chat", { name: "ada" });\n';
  await writeFile(join(made, "package.json"), '{"type":"module"}');
  await writeFile(join(made, "check.ts"), check);
  assert.equal(await compile(made, ["check.ts"]), "");
  const [{ version }, { version: packed }] = await Promise.all([
    import(`data:text/javascript;base64,${(await readFile(join(WEB, "parlor.js"))).toString("base64")}`),
    readFile(join(WEB, "npm/package.json"), "utf8").then(JSON.parse),
  ]);
  assert.equal(version, packed);
});

test("the types of the page and of the console hold", async (t) => {
  const made = await folder(t);
  const files = await readdir(WEB);
  const sources = files.filter((name) => name.endsWith(".js") || name === "parlor.d.ts");
  for (const name of sources) await copyFile(join(WEB, name), join(made, name));
  await writeFile(join(made, "package.json"), '{"type":"module"}');
  assert.equal(await compile(made, ["--allowJs", "--checkJs", "--lib", "esnext,dom,dom.iterable", "main.js", "console.js"]), "");
});

test("the module's own types hold", async (t) => {
  const made = await folder(t);
  await writeFile(join(made, "package.json"), '{"type":"module"}');
  await writeFile(join(made, "parlor.js"), await readFile(join(WEB, "parlor.js")));
  assert.equal(await compile(made, ["--allowJs", "--checkJs", "parlor.js"]), "");
});

test("in Node the package talks through the WebSocket that it is given", async (t) => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  t.after(() => server.close());
  server.on("connection", (socket) =>
    socket.on("message", (data) => {
      const { op, id } = JSON.parse(String(data));
      const you = { id: "u1", name: "ada", token: "t" };
      if (op === "join") socket.send(JSON.stringify({ op: "joined", id, room: "lobby", epoch: "k1", seq: 0, you, members: 1 }));
      if (op === "post") socket.send(JSON.stringify({ op: "posted", id, room: "lobby", seq: 1, duplicate: false }));
    }),
  );
  await new Promise((resolve) => server.on("listening", resolve));
  const made = await installed(t);
  await symlink(join(MODULES, "ws"), join(made, "node_modules/ws"));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const script = `import { connect } from "parlor-client";
import WebSocket from "ws";
try { delete globalThis.WebSocket; connect("ws://127.0.0.1:${port}/chat", { name: "ada" }); } catch ({ code }) { console.log(code); }
const chat = connect("ws://127.0.0.1:${port}/chat", { name: "ada", WebSocket });
console.log((await chat.post("lobby", { text: "hello" })).seq);
chat.close();
`;
  await writeFile(join(made, "script.js"), script);
  const { stdout } = await run(process.execPath, ["script.js"], { cwd: made });
  assert.equal(stdout, "no_websocket\n1\n");
});
