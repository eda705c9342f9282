/** A ChatRoom for people with an account at a real OpenID provider: signing in, chatting, and keys that rotate. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import Provider from "oidc-provider";
import WebSocket from "ws";
import { Gateway } from "./gateway.js";

const CLIENT = "chat";
const BACK = "http://127.0.0.1/back";

/** The provider, whose keys can be replaced. */
class Login {
  static async start() {
    const login = new Login();
    login.server = createServer((request, response) => login.answer(request, response));
    login.server.listen(0, "127.0.0.1");
    await once(login.server, "listening");
    login.issuer = `http://127.0.0.1:${login.server.address().port}`;
    login.rotate("first");
    return login;
  }

  /** From now on tokens are signed with a new key, and the old one is not published. @param {string} kid */
  rotate(kid) {
    const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
    const provider = new Provider(this.issuer, {
      jwks: { keys: [{ ...key, kid, use: "sig", alg: "ES256" }] },
      clients: [
        {
          client_id: CLIENT,
          redirect_uris: [BACK],
          token_endpoint_auth_method: "none",
          application_type: "native",
          id_token_signed_response_alg: "ES256",
        },
      ],
      claims: { openid: ["sub"], profile: ["name", "role"] },
      conformIdTokenClaims: false,
      findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, name: `Name of ${sub}`, role: sub === "ada" ? "moderator" : "member" }) }),
      cookies: { keys: ["cookies of a test"] },
    });
    this.answer = provider.callback();
  }

  /** Signs in as a browser would, and gives the token that the page would receive. @param {string} name */
  async token(name) {
    const verifier = randomBytes(32).toString("base64url");
    const challenge = createHash("sha256").update(verifier).digest("base64url");
    const start = new URLSearchParams({
      client_id: CLIENT,
      response_type: "code",
      redirect_uri: BACK,
      scope: "openid profile",
      code_challenge: challenge,
      code_challenge_method: "S256",
    });
    const code = await new Visit().through(`${this.issuer}/auth?${start}`, name);
    const answer = await fetch(`${this.issuer}/token`, {
      method: "POST",
      body: new URLSearchParams({ grant_type: "authorization_code", client_id: CLIENT, code, redirect_uri: BACK, code_verifier: verifier }),
    });
    const { id_token, error_description } = await answer.json();
    assert.ok(id_token, error_description);
    return id_token;
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** A browser at the login: keeps cookies, follows redirects, fills in the forms. */
class Visit {
  #cookies = new Map();

  /** @param {string} url @param {string} name @returns {Promise<string>} the code at the end */
  async through(url, name) {
    for (let step = 0; step < 12; step += 1) {
      const answer = await this.#ask(url);
      const next = answer.headers.get("location");
      if (next?.startsWith(BACK)) return new URL(next).searchParams.get("code") ?? assert.fail(next);
      url = next ? new URL(next, url).href : await this.#fill(url, await answer.text(), name);
    }
    return assert.fail(`the login did not end at ${url}`);
  }

  /** Sends the form of a page, and gives where that leads. @param {string} url @param {string} page @param {string} name */
  async #fill(url, page, name) {
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1] ?? assert.fail(page);
    const action = /action="([^"]+)"/.exec(page)?.[1] ?? url;
    const answer = await this.#ask(new URL(action, url).href, { method: "POST", body: new URLSearchParams({ prompt, login: name, password: "any" }) });
    return new URL(answer.headers.get("location") ?? assert.fail(await answer.text()), url).href;
  }

  /** @param {string} url @param {RequestInit} [init] */
  async #ask(url, init = {}) {
    const cookie = [...this.#cookies].map(([key, value]) => `${key}=${value}`).join("; ");
    const answer = await fetch(url, { ...init, redirect: "manual", headers: { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [, key, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      this.#cookies.set(key, value);
    }
    return answer;
  }
}

/** A native client that asks one thing after the other. */
class Client {
  #socket;
  #seen = [];
  #waiting = [];

  static async connect(url, headers = {}) {
    const client = new Client();
    client.#socket = new WebSocket(`${url.replace("http", "ws")}chat`, { headers });
    client.#socket.on("message", (data) => {
      client.#seen.push(JSON.parse(String(data)));
      client.#waiting.splice(0).forEach((wake) => wake());
    });
    await once(client.#socket, "open");
    return client;
  }

  /** Sends a frame, and gives the next one that answers to `op` or is an error. */
  async ask(frame, op) {
    this.#socket.send(JSON.stringify(frame));
    return this.next((answer) => answer.op === op || answer.op === "error");
  }

  /** @param {(frame: any) => boolean} wanted */
  async next(wanted) {
    for (;;) {
      const at = this.#seen.findIndex(wanted);
      if (at >= 0) return this.#seen.splice(at, 1)[0];
      await new Promise((resolve) => this.#waiting.push(resolve));
    }
  }

  close() {
    this.#socket.close();
  }
}

/** @type {Login} */
let login;
/** @type {Gateway} */
let gateway;

before(async () => {
  login = await Login.start();
  const spec = `  auth:
    anonymous: false
    jwt: {issuer: "${login.issuer}", audience: [${CLIENT}], keys: {jwksURL: "${login.issuer}/jwks"}}
`;
  gateway = await Gateway.start({ protocols: "native: {}", spec });
});

after(async () => {
  await gateway?.stop();
  login?.stop();
});

test("people sign in at the provider, chat under its names, and the next ones do after it has rotated its keys", async () => {
  const ada = await Client.connect(gateway.url);
  const refused = await ada.ask({ op: "join", room: "lobby", name: "ada" }, "joined");
  assert.equal(refused.code, "unauthorized");
  const signedIn = await ada.ask({ op: "auth", token: await login.token("ada") }, "authenticated");
  assert.deepEqual({ ...signedIn.you, role: signedIn.role }, { id: "j:ada", name: "Name of ada", role: "moderator" });
  assert.equal((await ada.ask({ op: "join", room: "lobby" }, "joined")).op, "joined");

  login.rotate("second");
  const bob = await Client.connect(gateway.url);
  const signedInLater = await bob.ask({ op: "auth", token: await login.token("bob") }, "authenticated");
  assert.equal(signedInLater.op, "authenticated", JSON.stringify(signedInLater));
  await bob.ask({ op: "join", room: "lobby" }, "joined");
  await bob.ask({ op: "post", id: 1, room: "lobby", body: { text: "hello" } }, "posted");
  const { items } = await ada.next((frame) => frame.op === "messages");
  assert.deepEqual(items[0].from, { id: "j:bob", name: "Name of bob" });

  const eve = await Client.connect(gateway.url, { authorization: `Bearer ${await login.token("eve")}` });
  assert.equal((await eve.ask({ op: "join", room: "lobby" }, "joined")).you.id, "j:eve");
  for (const client of [ada, bob, eve]) client.close();
});

test("a token that the provider signed with a key that it has withdrawn lets nobody in", async () => {
  const early = await login.token("mallory");
  login.rotate("third");
  const bob = await Client.connect(gateway.url);
  const answer = await bob.ask({ op: "auth", token: await login.token("bob") }, "authenticated");
  assert.equal(answer.op, "authenticated", JSON.stringify(answer));
  const mallory = await Client.connect(gateway.url);
  const late = await mallory.ask({ op: "auth", token: early }, "authenticated");
  assert.ok(["unauthorized", "unavailable"].includes(late.code), JSON.stringify(late));
  for (const client of [bob, mallory]) client.close();
});
