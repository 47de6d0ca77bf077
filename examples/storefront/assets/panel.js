// The panel, live. Without this script it shows how the session stood when the page was made.
"use strict";
(() => {
  const panel = document.getElementById("panel");
  if (!panel) return;
  const part = (name) => panel.querySelector(`[data-part="${name}"]`);
  const events = part("events");
  const roles = { member: "a member", visitor: "an anonymous visitor", none: "nobody yet" };
  let state, read, last = Number(panel.dataset.last);
  let whole = Number(panel.dataset.lifetime);

  const clock = (s) => {
    const two = (n) => String(n).padStart(2, "0");
    const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
    return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
  };

  // The seconds that are left now: the server's word, less what has passed here since.
  const left = () => Math.max(0, Math.round(state.expiresIn - (performance.now() - read) / 1000));

  const tick = () => {
    const has = state.expiresIn !== null;
    const s = has ? left() : 0;
    const over = has && (s === 0 || !state.usable);
    part("expiry").textContent = !has ? "none yet" : over ? "has ended; renewed at the next call" : `ends in ${clock(s)}`;
    part("bar").style.width = `${Math.min(100, (100 * s) / whole)}%`;
    part("bar").classList.toggle("low", s < whole / 4);
  };

  const show = (now) => {
    state = now;
    read = performance.now();
    part("role").textContent = roles[now.role] ?? now.role;
    part("generation").textContent = now.generation;
    part("saved").textContent = now.role === "none" ? "nothing yet" : now.saved ? "yes" : "not yet; memory serves";
    tick();
  };

  const time = (at) => new Date(at).toLocaleTimeString([], { hour12: false });

  const add = (note) => {
    if (note.id <= last) return;
    last = note.id;
    const item = document.createElement("li");
    item.className = `${note.mood} new`;
    const when = document.createElement("time");
    when.textContent = time(note.at);
    const what = document.createElement("span");
    what.textContent = note.text;
    item.append(when, what);
    events.prepend(item);
    while (events.children.length > 50) events.lastElementChild.remove();
  };

  for (const when of events.querySelectorAll("time")) when.textContent = time(Number(when.dataset.at));
  show(JSON.parse(panel.dataset.state));
  setInterval(tick, 1000);

  const live = part("live");
  let source;
  const connect = () => {
    if (source || document.hidden) return;
    source = new EventSource(`/panel/events?after=${last}`);
    source.addEventListener("open", () => {
      live.textContent = "live";
      live.classList.add("on");
    });
    source.addEventListener("note", (event) => add(JSON.parse(event.data)));
    source.addEventListener("state", (event) => show(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      live.textContent = "reconnecting…";
      live.classList.remove("on");
      // After an answer that is no stream a browser does not try again by itself.
      disconnect();
      setTimeout(connect, 700);
    });
  };
  const disconnect = () => {
    source?.close();
    source = undefined;
  };
  // A browser has six connections for a shop: a page that nobody sees gives its own back.
  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
  connect();

  // While the server restarts: asks until another process answers, then goes back.
  const restarting = document.getElementById("restarting");
  if (restarting) {
    const began = state.started;
    const ask = async () => {
      try {
        const reply = await fetch("/panel/state", { cache: "no-store" });
        if (reply.ok && (await reply.json()).started !== began) {
          location.replace(restarting.dataset.back);
          return;
        }
      } catch {
        // Nobody listens for a moment: that is what a restart is.
      }
      setTimeout(ask, 200);
    };
    ask();
  }
})();
