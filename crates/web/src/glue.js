// Lets the page's own @wix/sdk act as the visitor of the server's session:
//   createClient({ modules: { … }, auth: visitorOfServer() })
// The access token is asked for when it is first needed, and again a minute before it ends. The refresh token stays on the server.
export function visitorOfServer(url = "/wix-visitor/token") {
  let asking, until = 0;
  const ask = async () => {
    const asked = performance.now();
    const reply = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
      cache: "no-store",
    });
    if (!reply.ok) throw new Error(`no token from the server: status ${reply.status}`);
    const { accessToken, expiresIn } = await reply.json();
    until = asked + Math.max(expiresIn - 60, 1) * 1000;
    return accessToken.value;
  };
  return {
    async getAuthHeaders() {
      if (!asking || performance.now() > until) {
        until = Infinity; // one request, however many ask
        asking = ask();
        asking.catch(() => (asking = undefined));
      }
      return { headers: { Authorization: await asking } };
    },
  };
}
