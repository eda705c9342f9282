/**
 * Signs a person in with the ChatRoom's OpenID provider: the code flow with PKCE, as a client without a secret. Decides
 * when a token is replaced. Never decides who may come in: the gateway checks the ID token. What is needed between two
 * pages stays in the tab.
 *
 * @typedef {{ issuer: string, clientId: string, scopes: string[] }} Provider
 * @typedef {{ authorization_endpoint: string, token_endpoint: string, issuer: string }} Endpoints
 * @typedef {{ state: string, verifier: string, nonce: string, room?: string }} Pending
 * @typedef {{ token: string, refresh?: string, since: number }} Tokens `since` in milliseconds, by the wall clock
 */
import { addressedRoom, goTo } from "./address.js";
import { t } from "./language.js";
import { read, write } from "./store.js";

const PENDING = "parlor.signing-in";
const TOKENS = "parlor.tokens";
/** Random bytes of a verifier, a state and a nonce. */
const RANDOM = 32;

/** Leaves for the provider's page, which leads back here. @param {Provider} provider */
export async function signIn(provider) {
  if (!crypto.subtle) throw new Error(t("openidTls"));
  const { authorization_endpoint } = await endpoints(provider);
  const pending = { state: secret(), verifier: secret(), nonce: secret(), room: addressedRoom() };
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(pending.verifier));
  write("sessionStorage", PENDING, pending);
  const address = new URL(authorization_endpoint);
  const { clientId, scopes } = provider;
  const fields = {
    response_type: "code",
    client_id: clientId,
    redirect_uri: here(),
    scope: [...new Set(["openid", ...scopes])].join(" "),
    state: pending.state,
    nonce: pending.nonce,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(fields)) address.searchParams.set(name, value);
  location.assign(address);
}

/** Whether the provider has just sent the person back. */
export const isBack = () => new URLSearchParams(location.search).has("state") && read("sessionStorage", PENDING) !== undefined;

/** What the person came back with from the provider. @param {Provider} provider @returns {Promise<{ token: string, name: string }>} */
export async function comeBack(provider) {
  const answer = new URLSearchParams(location.search);
  const pending = /** @type {Pending} */ (read("sessionStorage", PENDING));
  write("sessionStorage", PENDING, undefined);
  history.replaceState(null, "", location.pathname);
  if (pending.room) goTo(pending.room);
  if (answer.get("state") !== pending.state) throw new Error(t("openidState"));
  const code = answer.get("code");
  if (!code) throw new Error(answer.get("error_description") ?? answer.get("error") ?? t("openidCode"));
  const tokens = await exchange(provider, { grant_type: "authorization_code", code, redirect_uri: here(), code_verifier: pending.verifier });
  const claims = claimsOf(tokens.token);
  if (claims.nonce !== pending.nonce) throw new Error(t("openidNonce"));
  write("sessionStorage", TOKENS, tokens);
  return { token: tokens.token, name: String(claims.name ?? claims.preferred_username ?? claims.sub ?? "") };
}

/** The ID token, replaced once half of its life is over, where the provider allows it. @param {Provider} provider @returns {Promise<string>} */
export async function freshToken(provider) {
  const tokens = /** @type {Tokens} */ (read("sessionStorage", TOKENS));
  const { iat = 0, exp = 0 } = claimsOf(tokens.token);
  const age = Date.now() - tokens.since;
  // A clock that was set back cannot tell: better one token too many.
  const old = age < 0 || age > ((exp - iat) * 1_000) / 2;
  if (!tokens.refresh || !old) return tokens.token;
  const next = await exchange(provider, { grant_type: "refresh_token", refresh_token: tokens.refresh });
  write("sessionStorage", TOKENS, { ...next, refresh: next.refresh ?? tokens.refresh });
  return next.token;
}

export function forgetTokens() {
  write("sessionStorage", TOKENS, undefined);
}

/** @param {Provider} provider @returns {Promise<Endpoints>} */
async function endpoints({ issuer }) {
  const found = await json(fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`));
  if (found.issuer !== issuer) throw new Error(t("openidIssuer", { found: found.issuer, issuer }));
  if (new URL(found.token_endpoint).origin !== new URL(issuer).origin) throw new Error(t("openidOrigin"));
  return found;
}

/** @param {Provider} provider @param {Record<string, string>} fields @returns {Promise<Tokens>} */
async function exchange(provider, fields) {
  const { token_endpoint } = await endpoints(provider);
  const body = new URLSearchParams({ ...fields, client_id: provider.clientId });
  const { id_token, refresh_token } = await json(fetch(token_endpoint, { method: "POST", body }));
  if (!id_token) throw new Error(t("openidToken"));
  return { token: id_token, refresh: refresh_token, since: Date.now() };
}

/** @param {Promise<Response>} request @returns {Promise<any>} */
async function json(request) {
  const answer = await request;
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error_description ?? body.error ?? t("openidStatus", { status: String(answer.status) }));
  return body;
}

/** The address that the provider leads back to: this page, without what it was asked with. */
function here() {
  return location.origin + location.pathname;
}

/** What a token says, unchecked: the gateway checks it. @param {string} token @returns {Record<string, any>} */
function claimsOf(token) {
  const bytes = Uint8Array.from(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

function secret() {
  return base64url(crypto.getRandomValues(new Uint8Array(RANDOM)));
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
