/**
 * Real processes for the page's tests: a gateway, and a Redis for those that need one. The gateway's binary is
 * PARLOR_GATEWAY, else the debug build of this workspace. A process that does not start fails the test, with its output.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BINARY = process.env.PARLOR_GATEWAY ?? fileURLToPath(new URL("../../target/debug/parlor-gateway", import.meta.url));
const STARTED_WITHIN_MS = 20_000;
/** Lines of output that are kept for an error message. */
const LINES = 60;

/** All protocols. Some tests serve a page of another site, which may only talk where it is allowed. @param {boolean} deflate */
const everyProtocol = (deflate) => `native: {path: /chat, deflate: ${deflate}, allowedOrigins: ["*"]}
    onlyone: {path: /onlyone, rooms: [onlyOne, support]}
    relay: {path: /room, issueTokens: true}
    match: {path: /ws}
    multiperson: {path: /multiperson}`;

/**
 * A ChatRoom whose limits leave a test's pace alone, unless the test says otherwise.
 * @param {{ protocols: string, limits: string, spec: string }} parts `spec` are further lines of the spec
 */
const manifest = ({ protocols, limits, spec }) => `
apiVersion: parlor.chat/v1alpha1
kind: ChatRoom
metadata: {name: lobby}
spec:
  protocols:
    ${protocols}
  limits: {${limits}}
  history: {messages: 10000}
  replicas: 1
${spec}`;

class Process {
  /** @param {string} program @param {string[]} args */
  constructor(program, args) {
    this.lines = [];
    this.child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.ended = once(this.child, "close").catch((error) => this.lines.push(String(error)));
    for (const pipe of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: pipe }).on("line", (line) => {
        this.lines.push(line);
        if (this.lines.length > LINES) this.lines.shift();
      });
    }
  }

  /** What `find` makes of a line of output, as soon as there is one. @template T @param {(line: string) => T | undefined} find */
  async says(find) {
    const deadline = Date.now() + STARTED_WITHIN_MS;
    for (;;) {
      const found = this.lines.map(find).find((value) => value !== undefined);
      if (found !== undefined) return found;
      if (this.child.exitCode !== null || Date.now() > deadline) {
        throw new Error(`${this.child.spawnfile} did not start:\n${this.lines.join("\n")}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** @param {NodeJS.Signals} [signal] */
  async end(signal = "SIGKILL") {
    this.child.kill(signal);
    await this.ended;
  }
}

export class Gateway {
  /**
   * Starts one; the same port can be asked for again. With a key, people stay who they are on every gateway that has it.
   * `api` is the token of a server API; `secrets` are by name and key, as in `login/key`.
   * @param {{ port?: number, redis?: string, key?: string, deflate?: boolean, protocols?: string, limits?: string, spec?: string, api?: string,
   *   secrets?: Record<string, string> }} [options]
   */
  static async start({ port = 0, redis, key, deflate = false, protocols = everyProtocol(deflate), limits = "messagesPerSecond: 10000", spec = "", api, secrets = {} } = {}) {
    await access(BINARY).catch(() => {
      throw new Error(`${BINARY} is missing: cargo build -p parlor-gateway, or set PARLOR_GATEWAY`);
    });
    const gateway = new Gateway();
    gateway.redis = redis;
    gateway.key = key;
    gateway.directory = await mkdtemp(join(tmpdir(), "parlor-page-"));
    const file = join(gateway.directory, "chatroom.yaml");
    await writeFile(file, manifest({ protocols, limits, spec }) + (redis ? "  redis: {managed: {}}\n" : "  redis: {memory: {}}\n"));
    for (const [name, value] of Object.entries({ ...(key && { "parlor/signing-key": key }), ...secrets })) {
      await mkdir(dirname(join(gateway.directory, name)), { recursive: true });
      await writeFile(join(gateway.directory, name), value);
    }
    const args = [file, "--secrets", gateway.directory, "--listen", `127.0.0.1:${port}`, "--admin", "127.0.0.1:0", ...(redis ? ["--redis", redis] : [])];
    if (api) {
      await mkdir(join(gateway.directory, "api"));
      await writeFile(join(gateway.directory, "api", "tests"), api);
      args.push("--api", "127.0.0.1:0");
    }
    gateway.process = new Process(BINARY, args);
    gateway.port = await gateway.process.says((line) => {
      const address = /\bshared\b/.test(line) && /127\.0\.0\.1:(\d+)/.exec(line);
      return address ? Number(address[1]) : undefined;
    });
    gateway.url = `http://127.0.0.1:${gateway.port}/`;
    gateway.admin = await gateway.process.says((line) => /\badmin\b/.test(line) ? /http:[^ ]+:\d+/.exec(line)?.[0] : undefined);
    if (api) gateway.api = await gateway.process.says((line) => /listening: api/.test(line) ? /http:[^ ]+:\d+/.exec(line)?.[0] : undefined);
    return gateway;
  }

  async stop() {
    await this.process.end();
    await rm(this.directory, { recursive: true });
  }

  /** Tells everyone to go elsewhere. */
  async drain() {
    const { ok, status } = await fetch(`${this.admin}/drain`, { method: "POST" });
    if (!ok) throw new Error(`/drain answered ${status}`);
  }

  /** Kills it and starts it again on the same port; `between` happens while there is none. @param {() => Promise<void>} [between] */
  async restart(between = async () => {}) {
    await this.stop();
    await between();
    return Object.assign(this, await Gateway.start({ port: this.port, redis: this.redis, key: this.key }));
  }
}

export class Redis {
  static async start() {
    const redis = new Redis();
    const port = await freePort();
    redis.address = `127.0.0.1:${port}`;
    redis.process = new Process("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    await redis.process.says((line) => (/Ready to accept connections/.test(line) ? true : undefined));
    return redis;
  }

  stop() {
    return this.process.end();
  }
}

/** A proxy in front of the gateways, like an ingress: new connections go to the one it points at, at a distance if wanted. */
export class Front {
  /** @type {Set<import("node:net").Socket>} */
  #open = new Set();

  /** @param {Gateway} to @param {number} [distance] milliseconds that everything takes, each way */
  static async start(to, distance = 0) {
    const front = new Front();
    front.to = to;
    front.server = createServer((client) => {
      const gateway = connect(front.to.port, "127.0.0.1");
      for (const [from, into] of [[client, gateway], [gateway, client]]) {
        front.#open.add(from);
        if (distance === 0) from.pipe(into);
        else from.on("data", (data) => setTimeout(() => into.writable && into.write(data), distance));
        from.on("error", () => into.destroy());
        from.on("close", () => {
          front.#open.delete(from);
          into.destroy();
        });
      }
    });
    front.server.listen(0, "127.0.0.1");
    await once(front.server, "listening");
    front.url = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (front.server.address()).port}/`;
    return front;
  }

  /** Breaks all connections; new ones are taken. */
  cut() {
    for (const socket of this.#open) socket.destroy();
  }

  stop() {
    this.server.close();
    this.cut();
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  server.close();
  await once(server, "close");
  return port;
}
