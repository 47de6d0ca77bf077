// Sends what is meant for Wix to the address in WIX_API_URL instead. Loaded before the SDK, which stays as published.

const WIX = 'https://www.wixapis.com';

const target = process.env.WIX_API_URL;
if (!target) {
  throw new Error('WIX_API_URL must hold the origin that stands in for Wix');
}
const origin = new URL(target).origin;
const original = globalThis.fetch;

globalThis.fetch = (input, init) => {
  const url = input instanceof Request ? input.url : String(input);
  if (url !== WIX && !url.startsWith(`${WIX}/`)) {
    throw new Error(`the SDK asked for ${new URL(url).origin}, which is not the API origin`);
  }
  const moved = origin + url.slice(WIX.length);
  return original(input instanceof Request ? new Request(moved, input) : moved, init);
};
