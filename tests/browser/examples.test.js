/** The examples of docs/examples, each run as its reader would. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { Gateway, Redis } from "./gateway.js";
import { browser, until } from "./window.js";

const run = promisify(execFile);
const path = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));
const EXAMPLES = path("../../docs/examples/");
const CACHE = path("node_modules/.examples");
const MESSAGES = 12;

/** A program that prints lines and takes some. */
class Program {
  /** @type {string[]} */
  lines = [];

  /** @param {string} file @param {string[]} args @param {import("node:child_process").SpawnOptions} [options] */
  constructor(file, args, options = {}) {
    this.child = spawn(file, args, { ...options, stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: /** @type {any} */ (this.child.stdout) }).on("line", (line) => this.lines.push(line));
  }

  /** @param {string} line */
  write(line) {
    this.child.stdin?.write(`${line}\n`);
  }

  async stop() {
    this.child.kill();
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, "close");
  }
}

/** The command that runs each client. */
const clients = {
  async python() {
    const packages = join(CACHE, "python");
    await access(packages).catch(() => run("python3", ["-m", "pip", "install", "--quiet", "--target", packages, "-r", join(EXAMPLES, "python/requirements.txt")]));
    return (/** @type {string[]} */ args) => new Program("python3", [join(EXAMPLES, "python/chat.py"), ...args], { env: { ...process.env, PYTHONPATH: packages } });
  },
  async go() {
    const program = join(CACHE, "chat");
    await mkdir(CACHE, { recursive: true });
    await run("go", ["build", "-o", program, "."], { cwd: join(EXAMPLES, "go") });
    return (/** @type {string[]} */ args) => new Program(program, args);
  },
};

for (const [language, prepare] of Object.entries(clients)) {
  test(`the ${language} client says and shows everything once, in order, across a restart of the gateway`, { timeout: 180_000 }, async (t) => {
    const redis = await Redis.start();
    t.after(() => redis.stop());
    const gateway = await Gateway.start({ redis: redis.address, key: "one key for both gateways, of 32 bytes" });
    t.after(() => gateway.stop());
    const start = await prepare();
    const address = gateway.url.replace("http", "ws") + "chat";
    const [ada, bob] = ["ada", "bob"].map((name) => start([address, "examples", name]));
    t.after(() => Promise.all([ada.stop(), bob.stop()]));
    // Both are there once each has seen a message of its own.
    for (const client of [ada, bob]) {
      client.write("here");
      await until(async () => client.lines.some((line) => line.endsWith("here")), `${language} is in the room`, 20_000);
    }
    for (let number = 1; number <= MESSAGES / 2; number++) ada.write(`message ${number}`);
    await gateway.restart(async () => {
      for (let number = MESSAGES / 2 + 1; number <= MESSAGES; number++) ada.write(`message ${number}`);
    });
    const expected = Array.from({ length: MESSAGES }, (_, index) => `ada: message ${index + 1}`);
    const said = (/** @type {Program} */ { lines }) => lines.filter((line) => line.includes("message")).map((line) => line.replace(/^\d+ /, ""));
    for (const client of [ada, bob]) {
      await until(async () => said(client).length >= MESSAGES, `${language} has seen all`, 60_000);
      assert.deepEqual(said(client), expected);
      const seqs = client.lines.map((line) => Number(/^\d+/.exec(line)?.[0]));
      assert.deepEqual(seqs, seqs.map((_, index) => seqs[0] + index), "nothing is missing and nothing is shown twice");
    }
  });

  test(`the ${language} client has fewer than 200 lines`, async () => {
    const file = { python: "python/chat.py", go: "go/main.go" }[language] ?? "";
    assert.ok((await readFile(join(EXAMPLES, file), "utf8")).split("\n").length <= 200);
  });
}

/** A page of another site, as somebody who embeds the client has one. @param {import("node:test").TestContext} t @param {Record<string, string>} files */
async function site(t, files) {
  const server = createServer(({ url }, answer) => {
    const text = files[url ?? ""];
    answer.setHeader("content-type", url?.endsWith(".js") ? "text/javascript" : "text/html");
    answer.end(text ?? "");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://localhost:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}/`;
}

/** The page says something and sees it. @param {import("node:test").TestContext} t @param {string} address */
async function talks(t, address) {
  const chromium = await browser();
  t.after(() => chromium.close());
  const page = await chromium.newPage();
  await page.goto(address);
  await page.getByRole("status").getByText("open").waitFor();
  await page.getByLabel("Message").fill("from an example");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("listitem").filter({ hasText: "from an example" }).waitFor();
  assert.equal(await page.getByRole("listitem").count(), 1);
}

test("the plain page talks", async (t) => {
  const gateway = await Gateway.start();
  t.after(() => gateway.stop());
  const html = await readFile(join(EXAMPLES, "javascript/plain.html"), "utf8");
  await talks(t, await site(t, { "/": html.replaceAll("GATEWAY/", gateway.url) }));
});

test("the React component talks, in strict mode too", async (t) => {
  const gateway = await Gateway.start();
  t.after(() => gateway.stop());
  const main = `import { StrictMode } from "react";
    import { createRoot } from "react-dom/client";
    import { Room } from "${join(EXAMPLES, "javascript/react.jsx")}";
    createRoot(document.getElementById("root")).render(<StrictMode><Room url="${gateway.url}chat" name="react" room="lobby" /></StrictMode>);`;
  const { outputFiles } = await build({
    stdin: { contents: main, loader: "jsx", resolveDir: path(".") },
    bundle: true,
    write: false,
    jsx: "automatic",
    format: "esm",
    define: { "process.env.NODE_ENV": '"development"' },
    alias: { "parlor-client": path("../../gateway/web/parlor.js") },
    nodePaths: [path("node_modules")],
  });
  await talks(t, await site(t, { "/": '<div id="root"></div><script type="module" src="/main.js"></script>', "/main.js": outputFiles[0].text }));
});

test("the Node bot answers, and after a restart it continues where it was", async (t) => {
  const gateway = await Gateway.start();
  t.after(() => gateway.stop());
  const folder = await mkdtemp(join(tmpdir(), "parlor-bot-"));
  t.after(() => rm(folder, { recursive: true }));
  await build({
    entryPoints: [join(EXAMPLES, "javascript/node.js")],
    outfile: join(folder, "bot.mjs"),
    bundle: true,
    platform: "node",
    format: "esm",
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    alias: { "parlor-client": path("../../gateway/web/parlor.js") },
    nodePaths: [path("node_modules")],
  });
  const address = gateway.url.replace("http", "ws") + "chat";
  const start = () => new Program(process.execPath, ["bot.mjs", address, "bots"], { cwd: folder });
  const people = await clientOf(gateway);
  t.after(() => people.close());
  let bot = start();
  // Whether the bot is there yet nobody knows: it is asked until it answers.
  await until(async () => (await people.say("ping"), bot.lines.some((line) => line.endsWith("pong"))), "an answer");
  // What it has not noted yet when it is stopped, it reads again.
  const noted = async () => JSON.parse(await readFile(join(folder, "parlor-bot.json"), "utf8")).position.after;
  await until(async () => (await noted()) === Number(/^\d+/.exec(bot.lines.at(-1) ?? "")?.[0]), "it notes what it read");
  await bot.stop();
  const before = bot.lines;
  await people.say("while it was away");
  bot = start();
  t.after(() => bot.stop());
  await until(async () => bot.lines.some((line) => line.endsWith("while it was away")), "it reads on");
  const seqs = [...before, ...bot.lines].map((line) => Number(/^\d+/.exec(line)?.[0]));
  assert.deepEqual(seqs, seqs.map((_, index) => seqs[0] + index), "it read everything once");
});

/** Somebody who talks to the bot. @param {Gateway} gateway */
async function clientOf(gateway) {
  const { connect } = await import("../../gateway/web/parlor.js");
  const { default: WebSocket } = await import("ws");
  const chat = connect(`${gateway.url}chat`, { name: "asker", WebSocket: /** @type {any} */ (WebSocket) });
  const room = chat.join("bots");
  await room.joined();
  return { say: (/** @type {string} */ text) => room.post({ text }), close: () => chat.close() };
}
