// What serving a valid token costs in the SDK, for the benchmark. WIX_API_URL and WIX_CLIENT_ID say where and who.
//
// For each line on stdin, which says for how many milliseconds, one on stdout: nanoseconds of a call, of each batch.

import './redirected-fetch.mjs';
import { createInterface } from 'node:readline';
import { createClient, OAuthStrategy } from '@wix/sdk';

const BATCH = 256;

const { auth } = createClient({ auth: OAuthStrategy({ clientId: process.env.WIX_CLIENT_ID }) });
await auth.getAuthHeaders();

let kept;
for await (const line of createInterface({ input: process.stdin })) {
  const batches = [];
  let now = process.hrtime.bigint();
  const end = now + BigInt(line) * 1_000_000n;
  while (now < end) {
    for (let i = 0; i < BATCH; i++) {
      kept = await auth.getAuthHeaders();
    }
    const then = process.hrtime.bigint();
    batches.push(Number(then - now) / BATCH);
    now = then;
  }
  if (!kept.headers.Authorization) {
    throw new Error('no token');
  }
  console.log(JSON.stringify(batches));
}
