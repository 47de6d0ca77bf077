// Lets the page's own @wix/sdk act as the visitor of the server's session:
//   createClient({ modules: { … }, auth: visitorOfServer() })
// The access token is asked for when it is first needed, and again a minute before it ends. The refresh token stays on the server.
export function visitorOfServer(url = "/wix-visitor/token") {
  let token, ends = 0, asking;
  const ask = async () => {
    const asked = Date.now();
    const reply = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
      cache: "no-store",
    });
    if (!reply.ok) throw new Error(`no token from the server: status ${reply.status}`);
    const { accessToken, expiresIn } = await reply.json();
    [token, ends] = [accessToken.value, asked + expiresIn * 1000];
  };
  return {
    async getAuthHeaders() {
      if (Date.now() > ends - 60_000) {
        asking ??= ask().finally(() => (asking = undefined)); // one request, however many need it
        // A token that still works serves, should no newer one be had.
        await asking.catch((error) => {
          if (Date.now() > ends - 5_000) throw error;
        });
      }
      return { headers: { Authorization: token } };
    },
  };
}
