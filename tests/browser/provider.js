/** An OpenID provider on loopback, which signs in everyone who gives a name. For the page's sign-in and for the gateway's keys. */
import { once } from "node:events";
import { createServer } from "node:http";
import OpenId from "oidc-provider";

export const CLIENT = "parlor";

export class Provider {
  /** @param {{ seconds?: number, claims?: Record<string, any> }} [options] how long tokens last, and what they say besides the name */
  static async start({ seconds = 3_600, claims = {} } = {}) {
    const provider = new Provider();
    provider.server = createServer((request, answer) => provider.answer(request, answer));
    provider.server.listen(0, "localhost");
    await once(provider.server, "listening");
    const { port } = /** @type {import("node:net").AddressInfo} */ (provider.server.address());
    provider.issuer = `http://localhost:${port}`;
    provider.jwks = `${provider.issuer}/jwks`;
    const extra = Object.keys(claims);
    provider.answer = new OpenId(provider.issuer, {
      clients: [
        {
          client_id: CLIENT,
          // A native client may come back to any port of loopback.
          application_type: "native",
          token_endpoint_auth_method: "none",
          grant_types: ["authorization_code", "refresh_token"],
          redirect_uris: ["http://127.0.0.1/"],
        },
      ],
      claims: { openid: ["sub"], profile: ["name", ...extra] },
      conformIdTokenClaims: false,
      clientBasedCORS: () => true,
      issueRefreshToken: async () => true,
      ttl: { IdToken: seconds, AccessToken: seconds },
      findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, name: id, ...claims }) }),
    }).callback();
    return provider;
  }

  /** Gives the provider's page a name, and agrees. @param {import("playwright-core").Page} page @param {string} name */
  static async signIn(page, name) {
    await page.locator("[name=login]").fill(name);
    await page.locator("[name=password]").fill("any");
    await page.locator("[type=submit]").click();
    await page.getByRole("button", { name: "Continue" }).click();
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
