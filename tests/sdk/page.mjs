// The shop's own page on the JavaScript SDK, for the browser suite: bundled, and run in the page.
//
//   page(API, CLIENT_ID).byServer   acts as the visitor of the server's session
//   page(API, CLIENT_ID).byItself() has a visitor of its own, kept in localStorage
//
// Each has add(PRODUCT), which puts one into the cart, and names(), what is in it. API is the origin that stands in for Wix; the
// SDK stays as published.

import { createClient, OAuthStrategy } from '@wix/sdk';
import { visitorOfServer } from '../../crates/web/src/glue.js';

const WIX = 'https://www.wixapis.com';
const CART = `${WIX}/ecom/v1/carts/current`;

function redirect(api) {
  const original = globalThis.fetch;
  globalThis.fetch = (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    if (url !== WIX && !url.startsWith(`${WIX}/`)) {
      return original(input, init);
    }
    const moved = api + url.slice(WIX.length);
    return original(input instanceof Request ? new Request(moved, input) : moved, init);
  };
}

const shop = (client) => ({
  async add(product) {
    const lineItems = [{ catalogReference: { appId: 'stores', catalogItemId: product }, quantity: 1 }];
    const reply = await client.fetchWithAuth(`${CART}/add-to-cart`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ lineItems }),
    });
    return reply.status;
  },
  async names() {
    const reply = await client.fetchWithAuth(CART);
    return reply.ok ? (await reply.json()).cart.lineItems.map((line) => line.productName.original) : [];
  },
});

globalThis.page = (api, clientId) => {
  redirect(api);
  return {
    byServer: shop(createClient({ auth: visitorOfServer() })),
    async byItself() {
      const auth = OAuthStrategy({ clientId });
      auth.setTokens(await auth.generateVisitorTokens());
      localStorage.setItem('wix-tokens', JSON.stringify(auth.getTokens()));
      return shop(createClient({ auth }));
    },
  };
};
