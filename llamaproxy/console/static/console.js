"use strict";
// The console's line to the server, and what its buttons do.

// Milliseconds: without news for so long the line is dead (the server has some every second); waits between tries.
const SILENCE = 12000, FIRST = 1000, LONGEST = 20000;
let token = "", live = null, heard = 0, wait = FIRST, trying = 0, telling = 0;

// A word on what was done, which goes after a while.
function tell(text) {
  clearTimeout(telling);
  $("#told").textContent = text;
  telling = setTimeout(() => { $("#told").textContent = ""; }, 4000 + 60 * text.length);
}

// The window's title says what an operator in another window should know.
const signs = {asks: 0, listens: false};
function title(news) {
  Object.assign(signs, news);
  document.title = `${signs.asks ? `(${signs.asks}) ` : ""}${signs.listens ? "● " : ""}llamaproxy console`;
}

// The visit is over: the page behind the door says why, and how to come in again.
function leave(why) {
  try { sessionStorage.setItem("llamaproxy.out", why); } catch { /* it then says less */ }
  location.reload();
}
const OVER = "You are logged out: the server has started anew, or twelve hours have passed.";

// What the server says to that; null where it cannot be had, and why is told.
async function asked(path, options = {}) {
  try {
    const answer = await fetch(`/console/${path}`, {cache: "no-store", ...options});
    if (answer.status === 401) { leave(OVER); return null; }
    const said = await answer.json();
    if (!answer.ok) tell(said.error?.message || said.error || `The server says ${answer.status}.`);
    return answer.ok ? said : null;
  } catch { tell("The server cannot be reached."); return null; }
}

const change = (path, body = {}) => asked(path, {method: "POST", headers: {"Content-Type": "application/json", "X-Console-Token": token}, body: JSON.stringify(body)});

async function invite() {
  $("#pair-said").textContent = "";
  const answer = await change("pair", {commands: $("#rights").value || null});
  if (!answer) { $("#pair-said").textContent = $("#told").textContent; return; }
  $("#pair .qr").src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(answer.svg)}`;
  $("#pair .qr").hidden = false;
  $("#pair-url").textContent = answer.url;
  const until = new Date(Date.now() + answer.seconds * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
  $("#pair-said").textContent = `Works once, until ${until}.`;
}

// A turn's record; `others` of its session can be gone to.
function openTurn(record, others = []) {
  const total = Math.max(record.seconds || 0, 0.001);
  const rows = [];
  const row = (name, parts, took) => rows.push(make("span", {}, named(name)), timeline(parts, total), make("span", {class: "num"}, time(took)));
  if (record.queued) row("waited in line", [[0, record.queued, "wait"]], record.queued);
  for (const a of record.attempts || []) {
    const end = a.at + (a.seconds || 0);
    const first = a.first === undefined || a.first === null ? end : a.at + a.first;
    row(a.model, a.error ? [[a.at, end, "bad"]] : [[a.at, first, "think"], [first, end, ""]], a.seconds || 0);
  }
  for (const t of record.tools || []) row(`${t.name} ${t.verdict || "ran"}`, [[t.at, t.at + (t.seconds || 0), t.verdict === "asked" ? "wait" : t.verdict && t.verdict !== "ran" ? "bad" : "tool"]], t.seconds || 0);
  const link = (each) => make("button", {type: "button", class: "small", "aria-current": each === record ? "true" : null, onclick: () => openTurn(each, others)}, clock(each.began));
  $("#turn .sheet").replaceChildren(
    make("div", {class: "row"}, make("h2", {id: "turn-h"}, `Turn of ${clock(record.began)}`), ended(record)),
    make("p", {class: "quiet"}, named(record.session_id)),
    rows.length ? make("div", {class: "time"}, ...rows, make("span"), make("span", {class: "span"}, make("span", {}, "0"), make("span", {}, time(total))), make("span")) : "",
    make("pre", {class: "facts", tabindex: "0", dir: "ltr"}, record.lines.join("\n")),
    others.length > 1 ? make("div", {class: "row others", role: "group", "aria-label": "Turns of this session"}, ...others.map(link)) : "",
    make("form", {method: "dialog"}, make("button", {}, "Close")));
  if (!$("#turn").open) $("#turn").showModal();
}

async function openTurns(session) {
  const answer = await asked(`trace?of=${encodeURIComponent(session)}`);
  if (!answer) return;
  if (answer.records.length) openTurn(answer.records[0], answer.records); else tell(`No turn of ${session} is on record.`);
}

// The line: made anew with growing waits, and at once when the page or the network wakes up.
function state(text, kind) {
  if ($("#link").textContent !== text) $("#link").textContent = text;
  $("#link").className = `badge ${kind}`;
  $("#main").classList.toggle("stale", kind === "bad");
}

function broke() {
  live?.close();
  live = null;
  state("not connected", "bad");
  clearTimeout(trying);
  trying = setTimeout(connect, wait);
  wait = Math.min(LONGEST, 2 * wait);
}

async function connect() {
  clearTimeout(trying);
  try {
    const answer = await fetch("/console/me", {cache: "no-store", signal: AbortSignal.timeout(5000)});
    if (answer.status === 401) { leave(OVER); return; }
    if (!answer.ok) throw new Error(answer.status);
    const me = await answer.json();
    token = me.token;
    $("#chat").textContent = $("#chat").href = me.chat;
  } catch { broke(); return; }
  live?.close();
  heard = Date.now();
  const mine = live = new EventSource("/console/live");
  live.addEventListener("error", () => { if (mine === live) broke(); });
  for (const [name, drawn] of Object.entries(draw)) {
    live.addEventListener(name, (event) => {
      if (mine !== live) return;
      heard = Date.now();
      wait = FIRST;
      state("live", "good");
      drawn(JSON.parse(event.data));
    });
  }
}

function wake() {
  if (document.hidden || (live && Date.now() - heard < SILENCE)) return;
  wait = FIRST;
  connect();
}
setInterval(() => { if (live && !document.hidden && Date.now() - heard > SILENCE) broke(); }, 3000);
addEventListener("online", wake);
document.addEventListener("visibilitychange", wake);

$("#examine").addEventListener("click", () => change("checkup"));
$("#leave").addEventListener("click", async () => { if (await change("leave")) leave("You are logged out."); });
$("#phone").addEventListener("click", () => { $("#pair").showModal(); invite(); });
$("#pair-again").addEventListener("click", invite);
$("#rights").addEventListener("change", invite);
$("#pair").addEventListener("close", () => { $("#pair .qr").hidden = true; $("#pair-url").textContent = ""; });
$("#reload").addEventListener("click", async () => {
  const outcome = await change("reload");
  if (outcome) tell(`${outcome.taken ? "" : "All stays as it was: "}${outcome.lines.join(" · ")}`);
});
$("#sought").addEventListener("input", () => seek($("#sought").value.trim()));
$("#seek").addEventListener("submit", (event) => { event.preventDefault(); if ($("#sought").value.trim()) openTurns($("#sought").value.trim()); });
for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
connect();
