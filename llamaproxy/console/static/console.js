"use strict";
// The console: what the server sends, drawn. Everything is put on the page as text, never as HTML.

const $ = (selector) => document.querySelector(selector);
const turns = new Map();
let token = "", asking = new Set(), streams = [], models = [], callers = [], accounts = [], written = {default: "", off: [], people: []};

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Puts new content in place of the old, and leaves the focus where it was.
function show(section, ...children) {
  const body = $(`#${section} .body`);
  const key = body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const kept = [...body.querySelectorAll(".scroll")].map((box) => box.scrollTop);
  body.replaceChildren(...children);
  body.querySelectorAll(".scroll").forEach((box, index) => { box.scrollTop = kept[index] || 0; });
  if (key) [...body.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key)?.focus();
}

const quiet = (text) => make("p", {class: "quiet"}, text);
const badge = (text, kind = "") => make("span", {class: `badge ${kind}`}, text);

function table(heads, rows, label) {
  const cell = (tag, value, head) => make(tag, {class: `${head.num ? "num" : ""} ${head.hide ? "hide" : ""}`, scope: tag === "th" ? "col" : null, "aria-label": tag === "th" ? head.label || null : null}, value);
  return make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": `Table: ${label}`},
    make("table", {},
      make("thead", {}, make("tr", {}, ...heads.map((head) => cell("th", head.name, head)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((value, index) => cell("td", value, heads[index])))))));
}

function time(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  return value < 120 ? `${value.toFixed(1)} s` : `${(value / 60).toFixed(0)} min`;
}
const count = (value) => (value >= 10000 ? `${(value / 1000).toFixed(0)}k` : String(value));
const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(0)} MB`);
const clock = (unix) => new Date(unix * 1000).toLocaleTimeString();
// Of a browser's long name the part that people know.
const program = (name) => (/(Edg|OPR|Firefox|Chrome|Safari)[\/ ]?[\d.]*/.exec(name)?.[0] || name);
const rate = (value) => (value ? `${value.toFixed(1)}/s` : "–");

function tell(text) { $("#told").textContent = text; }

// Has the server do something; gives whether it did, or where that is `wanted` what it says.
async function change(path, body, wanted = false) {
  try {
    const answer = await fetch(`/console/${path}`, {
      method: "POST",
      headers: {"Content-Type": "application/json", "X-Console-Token": token},
      body: JSON.stringify(body || {}),
    });
    if (answer.status === 401) location.reload();
    if (!answer.ok) tell((await answer.json()).error);
    return answer.ok && (wanted ? await answer.json() : true);
  } catch { tell("The server cannot be reached."); return false; }
}

const ENDS = {running: ["runs", ""], done: ["done", "good"], cut: ["cut short", "warm"], failed: ["failed", "bad"], left: ["client left", "warm"], stopped: ["stopped", "warm"], asked: ["asked", "warm"]};

const draw = {
  server(s) {
    const away = s.nodes.length ? ` · ${s.nodes.length + 1} nodes` : "";
    $("#server").textContent = `llamaproxy ${s.version} · ${s.workers.length ? `${s.workers.length} workers` : "one process"}${away} · up ${time(s.uptime)} · ${s.connections} connections · ${size(s.memory)} · ${s.unsent} bytes wait for clients`;
    $("#workers").hidden = !s.workers.length && !s.nodes.length;
    const heads = [{name: "Worker"}, {name: "Process", num: true, hide: true}, {name: "Up", num: true}, {name: "Sessions", num: true}, {name: "Streams", num: true}, {name: "Paused", num: true, hide: true}, {name: "Connections", num: true, hide: true}, {name: "Memory", num: true}];
    show("workers",
      s.workers.length ? table(heads, s.workers.map((w) => [String(w.number), String(w.pid), time(w.uptime), String(w.sessions), String(w.answering), String(w.paused), String(w.connections), size(w.memory)]), "Workers") : "",
      s.nodes.length ? quiet(`Other nodes with the same store: ${s.nodes.join("; ")}. Each has a console of its own, which shows its own streams and sessions.`) : "");
  },

  hour(points) {
    const last = points[points.length - 1];
    const of = (key) => points.map((point) => point[key]);
    const newest = (key) => [...of(key)].reverse().find((value) => value !== null) ?? null;
    const sum = (key) => of(key).reduce((a, b) => a + b, 0);
    const failed = sum("failed");
    const tile = (name, value, more, values) => make("div", {class: "tile"},
      make("div", {class: "name"}, name),
      make("div", {class: "value"}, value, " ", make("small", {}, more)),
      chart(values, `${name}, the last hour: now ${value}`));
    $("#hour").replaceChildren(
      tile("Turns", String(sum("turns")), failed ? `this hour, ${failed} failed` : "this hour", of("turns")),
      tile("First token", time(newest("first")), "median", of("first")),
      tile("Speed", newest("rate") === null ? "–" : newest("rate").toFixed(1), "tokens/s", of("rate")),
      tile("Live streams", String(last.live), "at most, this minute", of("memory").map((memory, index) => (memory ? points[index].live : null))),
      tile("Memory", size(last.memory || points[points.length - 2].memory), "", of("memory").map((memory) => memory || null)));
  },

  streams(list) {
    streams = list;
    drawStreams();
  },

  questions(list) {
    asking = new Set(list.filter((q) => q.is_heard).map((q) => q.session_id));
    drawStreams();
    $("#questions").hidden = !list.length;
    tell(list.length ? `${list.length} question${list.length > 1 ? "s" : ""} for leave` : "");
    show("questions", ...list.map((q) => {
      const answer = (decision, text, kind) => make("button", {type: "button", class: kind, "data-key": `${q.code}${decision}`, "aria-label": `${text}: ${q.calls[0]}`, onclick: () => change("decide", {session_id: q.session_id, code: q.code, decision})}, text);
      return make("div", {},
        make("p", {class: "quiet"}, `${q.session_id} · ${q.code} · ${q.is_heard ? "its reply waits for you" : "its reply has ended; the answer goes into the conversation"}`),
        make("pre", {}, q.calls.join("\n")),
        make("div", {class: "row"}, answer("yes", "Allow", "primary"), answer("always", "Always", ""), answer("no", "Deny", "danger")));
    }));
  },

  sessions(list) {
    const heads = [{name: "Session"}, {name: "Model"}, {name: "Messages", num: true}, {name: "Idle", num: true}, {name: "Words", hide: true}];
    show("sessions", list.length ? table(heads, list.map((s) => [
      make("button", {type: "button", class: "plain", "data-key": s.session_id, onclick: () => openTurns(s.session_id)}, s.session_id),
      s.model, String(s.messages), s.waiting ? badge(`${s.waiting} running`, "good") : time(s.idle),
      make("button", {type: "button", "data-key": `words ${s.session_id}`, "aria-label": `10 min: keep the words of ${s.session_id}`, onclick: () => change("words", {session_id: s.session_id, minutes: 10}).then((ok) => ok && tell(`The words of ${s.session_id} are kept for ten minutes.`))}, "10 min"),
    ]), "Sessions") : quiet("Nobody has talked yet."));
  },

  models(list) {
    models = list;
    drawModels();
  },

  written(w) {
    written = w;
    drawModels();
    drawCallers();
  },

  switches(list) {
    const byName = new Map();
    for (const s of list) byName.set(`${s.kind} ${s.name}`, [...(byName.get(`${s.kind} ${s.name}`) || []), s]);
    const name = (s) => (s.name === "*" ? (s.kind === "db" ? "all other tables" : "all other tools") : s.kind === "db" ? `table ${s.name}` : s.name);
    show("switches", make("ul", {class: "list"}, ...[...byName.values()].map((sides) => make("li", {class: "row"},
      make("span", {}, name(sides[0])), sides[0].group ? badge(sides[0].group) : null, make("span", {class: "grow"}),
      ...sides.map((s) => make("label", {class: "switch"}, make("input", {type: "checkbox", role: "switch", "data-key": `${s.kind} ${s.name} ${s.side}`, "aria-label": `${name(s)}, ${s.side} without asking`, onchange: (event) => change("switch", {kind: s.kind, name: s.name, side: s.side, allowed: event.target.checked})}), s.side))))));
    document.querySelectorAll("#switches input").forEach((input, index) => { input.checked = [...byName.values()].flat()[index].allowed; });
  },

  callers(list) {
    callers = list;
    drawCallers();
  },

  accounts(list) {
    accounts = list;
    drawCallers();
  },

  warnings(list) {
    show("warnings", list.length ? make("ul", {class: "list scroll", tabindex: "0", "aria-label": "Warnings"}, ...[...list].reverse().map((w) => make("li", {}, make("span", {class: w.level === "warn" ? "warm" : "bad"}, `${clock(w.at)} ${w.level} `), w.text))) : quiet("None."));
  },

  listened(sessions) {
    const names = Object.keys(sessions);
    document.title = names.length ? "● llamaproxy console" : "llamaproxy console";
  },

  checkup(rows) {
    const asked = rows.filter((row) => row.complaint !== null).length;
    $("#examine").disabled = rows.length > 0 && asked < rows.length;
    show("checkup", make("ul", {class: "list"}, ...rows.map((row) => make("li", {},
      make("span", {class: row.complaint === null ? "quiet" : row.complaint ? "bad" : "good"}, row.complaint === null ? "… " : row.complaint ? "✗ " : "✓ "), row.name,
      row.complaint ? make("p", {class: "bad"}, row.complaint) : null))));
    if (rows.length && asked === rows.length) tell(`The doctor is done: ${rows.filter((row) => !row.complaint).length} of ${rows.length} work.`);
  },

  records(list) {
    for (const record of list) turns.set(record.request_id || `${record.began}`, record);
    while (turns.size > 200) turns.delete(turns.keys().next().value);
    const heads = [{name: "At"}, {name: "Session"}, {name: "Model", hide: true}, {name: "First", num: true, hide: true}, {name: "Took", num: true}, {name: "Rate", num: true, hide: true}, {name: "End"}];
    show("turns", table(heads, [...turns.values()].reverse().slice(0, 100).map((r) => [
      make("button", {type: "button", class: "plain", "data-key": r.request_id, "aria-label": `The turn of ${clock(r.began)}, ${r.session_id}`, onclick: () => openTurn(r)}, clock(r.began)),
      r.session_id, r.model || (r.commands || []).map((name) => `!${name}`).join(" ") || "–", time(r.first ?? null), time(r.seconds || 0), rate(r.rate), badge(...ENDS[r.end])]), "Turns"));
  },
};

function drawStreams() {
  const heads = [{name: "Session"}, {name: "Model", hide: true}, {name: "Client", hide: true}, {name: "Since", num: true, hide: true}, {name: "Pieces", num: true, hide: true}, {name: "Rate", num: true}, {name: "State"}, {name: "", label: "Stop"}];
  const stop = (s) => make("button", {type: "button", class: "small danger", "data-key": `stop ${s.request_id}`, "aria-label": `Stop the answer in ${s.session_id}`, onclick: () => change("stop", {session_id: s.session_id})}, "Stop");
  const state = (s) => (asking.has(s.session_id) ? badge("asks for leave", "warm") : s.is_paused ? badge("paused by reader", "warm") : s.waits ? badge("waits") : s.first === null ? badge("thinks") : badge("streams", "good"));
  show("streams", streams.length ? table(heads, streams.map((s) => [s.session_id, s.model || "–", program(s.client) || "–", time(s.seconds), String(s.pieces), rate(s.rate), state(s), stop(s)]), "Live streams") : quiet("Nobody is being answered right now."));
}

function drawModels() {
  const act = (key, to, words) => make("button", {type: "button", class: "small", "data-key": `${key} ${to}`, "aria-label": `${words}: ${key}`, onclick: () => change("model", {key, to}).then((ok) => ok && tell(`${key}: ${words.toLowerCase()}.`))}, words);
  const row = (m) => make("li", {},
    make("div", {class: "row"}, make("span", {}, m.key), m.is_well ? badge(m.asked ? "well" : m.loaded ? "ready" : "not asked yet", m.asked ? "good" : "") : badge("fails", "bad"), m.key === written.default ? badge("default") : null, m.embedding ? badge("embeddings") : null, m.vision ? badge("sees") : null,
      make("span", {class: "grow"}), m.key === written.default || m.embedding ? null : act(m.key, "default", "Make default"), m.key === written.default ? null : act(m.key, "off", "Switch off")),
    quiet(`${m.kind} ${m.model_id} · ${m.asked} asked, ${m.failed} failed · first token ${time(m.first)} · ${rate(m.rate)}`),
    m.error ? make("p", {class: m.is_well ? "quiet" : "bad"}, `Last error, ${clock(m.failed_at)}: ${m.error}`) : null);
  const off = (key) => make("li", {}, make("div", {class: "row"}, make("span", {class: "quiet"}, key), badge("off"), make("span", {class: "grow"}), act(key, "on", "Switch on")));
  show("models", make("ul", {class: "list"}, ...models.map(row), ...written.off.map(off)));
}

function drawCallers() {
  const heads = [{name: "Caller"}, {name: "Turns", num: true}, {name: "Tokens in", num: true}, {name: "out", num: true}, {name: "Seen", num: true, hide: true}];
  const seen = callers.length ? table(heads, [...callers].reverse().map((c) => [c.caller || "–", String(c.turns), count(c.prompt_tokens), count(c.completion_tokens), clock(c.seen)]), "Callers") : quiet("Nobody has asked yet.");
  const budget = (used, most, span, name) => (most ? make("div", {class: "budget"}, make("span", {}, `${count(used)} of ${count(most)} tokens ${span}`), make("meter", {min: "0", max: String(most), value: String(Math.min(used, most)), high: String(most * 0.8), optimum: "0", "aria-label": `${name}: tokens ${span}`})) : null);
  const used = (a) => make("li", {}, make("span", {}, a.caller), budget(a.hour, a.per_hour, "this hour", a.caller), budget(a.day, a.per_day, "this day", a.caller));
  const limit = (p) => [p.per_hour ? `${count(p.per_hour)} tokens an hour` : "", p.per_day ? `${count(p.per_day)} a day` : ""].filter(Boolean).join(", ");
  const person = (p) => make("li", {}, make("div", {class: "row"}, make("span", {}, p.name), badge(`by ${p.by}`), p.operator ? badge("operator", "warm") : p.commands ? badge(`commands: ${p.commands}`) : null, make("span", {class: "quiet"}, limit(p))));
  const limited = accounts.filter((a) => a.per_hour || a.per_day);
  show("callers", seen,
    written.people.length ? make("h3", {}, "Profiles") : "", make("ul", {class: "list"}, ...written.people.map(person)),
    limited.length ? make("h3", {}, "Budgets") : "", make("ul", {class: "list"}, ...limited.map(used)));
}

async function invite() {
  $("#pair-said").textContent = "";
  const answer = await change("pair", {commands: $("#rights").value || null}, true);
  if (!answer) { $("#pair-said").textContent = $("#told").textContent; return; }
  $("#pair .qr").src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(answer.svg)}`;
  $("#pair .qr").hidden = false;
  $("#pair-url").textContent = answer.url;
  const until = new Date(Date.now() + answer.seconds * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
  $("#pair-said").textContent = `Works once, until ${until}.`;
}

function openTurn(record) {
  const total = Math.max(record.seconds || 0, 0.001);
  const rows = [];
  const row = (name, parts, took) => rows.push(make("span", {}, name), timeline(parts, total), make("span", {class: "num"}, time(took)));
  if (record.queued) row("waited in line", [[0, record.queued, "wait"]], record.queued);
  for (const a of record.attempts || []) {
    const end = a.at + (a.seconds || 0);
    const first = a.first === undefined || a.first === null ? end : a.at + a.first;
    row(a.model, a.error ? [[a.at, end, "bad"]] : [[a.at, first, "think"], [first, end, ""]], a.seconds || 0);
  }
  for (const t of record.tools || []) row(`${t.name} ${t.verdict || "ran"}`, [[t.at, t.at + (t.seconds || 0), t.verdict && t.verdict !== "ran" ? "bad" : "tool"]], t.seconds || 0);
  $("#turn .sheet").replaceChildren(
    make("div", {class: "row"}, make("h2", {id: "turn-h"}, `Turn of ${clock(record.began)}`), badge(...ENDS[record.end])),
    make("div", {class: "time"}, ...rows),
    make("pre", {class: "facts", tabindex: "0"}, record.lines.join("\n")),
    make("form", {method: "dialog"}, make("button", {}, "Close")));
  $("#turn").showModal();
}

async function openTurns(session) {
  const answer = await fetch(`/console/trace?of=${encodeURIComponent(session)}`);
  const {records} = await answer.json();
  if (records.length) openTurn(records[0]); else tell(`No turn of ${session} is on record.`);
}

function listen() {
  const live = new EventSource("/console/live");
  const state = (text, kind) => { $("#link").textContent = text; $("#link").className = `badge ${kind}`; };
  live.addEventListener("open", () => { state("live", "good"); });
  live.addEventListener("error", () => {
    state("not connected", "bad");
    fetch("/console/me").then((answer) => { if (answer.status === 401) location.reload(); }, () => {});
  });
  for (const [name, drawn] of Object.entries(draw)) live.addEventListener(name, (event) => drawn(JSON.parse(event.data)));
}

$("#examine").addEventListener("click", () => change("checkup"));
$("#leave").addEventListener("click", async () => { if (await change("leave")) location.reload(); });
$("#phone").addEventListener("click", () => { $("#pair").showModal(); invite(); });
$("#pair-again").addEventListener("click", invite);
$("#rights").addEventListener("change", invite);
$("#pair").addEventListener("close", () => { $("#pair .qr").hidden = true; $("#pair-url").textContent = ""; });
$("#reload").addEventListener("click", async () => {
  const outcome = await change("reload", {}, true);
  if (outcome) tell(`${outcome.taken ? "" : "All stays as it was: "}${outcome.lines.join(" · ")}`);
});
fetch("/console/me").then((answer) => answer.json()).then((me) => {
  token = me.token;
  $("#chat").textContent = $("#chat").href = me.chat;
  listen();
});
