// One step of a shop front on the JavaScript SDK, for the interop suite. WIX_API_URL and WIX_CLIENT_ID say where and who.
//
//   mint                        a new visitor; its tokens on stdout
//   generate                    tokens on stdin → what generateVisitorTokens makes of them, on stdout
//   renew                       tokens on stdin → renewed tokens on stdout; fails where the SDK's renewal fails
//   call METHOD PATH [BODY]     tokens on stdin → {"status", "body", "tokens"} on stdout, the tokens as they are afterwards

import './redirected-fetch.mjs';
import { createClient, OAuthStrategy } from '@wix/sdk';

const clientId = process.env.WIX_CLIENT_ID;
if (!clientId) {
  throw new Error('WIX_CLIENT_ID must hold the client id');
}

const client = (tokens) => createClient({ auth: OAuthStrategy({ clientId, tokens }) });

async function tokensFromStdin() {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk;
  }
  return JSON.parse(text);
}

const commands = {
  async mint() {
    const { auth } = client();
    auth.setTokens(await auth.generateVisitorTokens());
    return auth.getTokens();
  },

  async generate() {
    const tokens = await tokensFromStdin();
    return client(tokens).auth.generateVisitorTokens(tokens);
  },

  async renew() {
    const tokens = await tokensFromStdin();
    return client(tokens).auth.renewToken(tokens.refreshToken);
  },

  async call(method, path, body) {
    const wix = client(await tokensFromStdin());
    const response = await wix.fetchWithAuth(`https://www.wixapis.com${path}`, {
      method,
      ...(body !== undefined && { body, headers: { 'Content-Type': 'application/json' } }),
    });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : null, tokens: wix.auth.getTokens() };
  },
};

const [name, ...args] = process.argv.slice(2);
if (!Object.hasOwn(commands, name ?? '')) {
  console.error(`usage: interop.mjs ${Object.keys(commands).join(' | ')}`);
  process.exit(2);
}
console.log(JSON.stringify(await commands[name](...args)));
