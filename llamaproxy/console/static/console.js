"use strict";
// The console: what the server sends, drawn. Everything is put on the page as text, never as HTML.

const $ = (selector) => document.querySelector(selector);
const turns = new Map();
let token = "";

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
  const cell = (tag, value, head) => make(tag, {class: `${head.num ? "num" : ""} ${head.hide ? "hide" : ""}`, scope: tag === "th" ? "col" : null}, value);
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

async function change(path, body) {
  try {
    const answer = await fetch(`/console/${path}`, {
      method: "POST",
      headers: {"Content-Type": "application/json", "X-Console-Token": token},
      body: JSON.stringify(body || {}),
    });
    if (answer.status === 401) location.reload();
    if (!answer.ok) tell((await answer.json()).error);
    return answer.ok;
  } catch { tell("The server cannot be reached."); return false; }
}

const ENDS = {running: ["runs", ""], done: ["done", "good"], cut: ["cut short", "warm"], failed: ["failed", "bad"], left: ["client left", "warm"], stopped: ["stopped", "warm"], asked: ["asked", "warm"]};

const draw = {
  server(s) {
    $("#server").textContent = `llamaproxy ${s.version} · ${s.processes === 1 ? "one process" : `${s.processes} workers; this is what the first one sees`} · ${s.connections} connections · ${size(s.memory)} · ${s.unsent} bytes wait for clients`;
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
    const heads = [{name: "Session"}, {name: "Model"}, {name: "Client", hide: true}, {name: "Since", num: true}, {name: "Pieces", num: true}, {name: "Rate", num: true}, {name: "State"}];
    const state = (s) => (s.is_paused ? badge("paused by reader", "warm") : s.waits ? badge("waits") : s.first === null ? badge("thinks") : badge("streams", "good"));
    show("streams", list.length ? table(heads, list.map((s) => [s.session_id, s.model || "–", program(s.client) || "–", time(s.seconds), String(s.pieces), rate(s.rate), state(s)]), "Live streams") : quiet("Nobody is being answered right now."));
  },

  questions(list) {
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
    show("models", make("ul", {class: "list"}, ...list.map((m) => make("li", {},
      make("div", {class: "row"}, make("span", {}, m.key), m.is_well ? badge(m.asked ? "well" : m.loaded ? "ready" : "not asked yet", m.asked ? "good" : "") : badge("fails", "bad"), m.embedding ? badge("embeddings") : null, m.vision ? badge("sees") : null),
      quiet(`${m.kind} ${m.model_id} · ${m.asked} asked, ${m.failed} failed · first token ${time(m.first)} · ${rate(m.rate)}`),
      m.error ? make("p", {class: m.is_well ? "quiet" : "bad"}, `Last error, ${clock(m.failed_at)}: ${m.error}`) : null))));
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
    const heads = [{name: "Caller"}, {name: "Turns", num: true}, {name: "Tokens in", num: true}, {name: "out", num: true}, {name: "Seen", num: true, hide: true}];
    show("callers", list.length ? table(heads, [...list].reverse().map((c) => [c.caller || "–", String(c.turns), count(c.prompt_tokens), count(c.completion_tokens), clock(c.seen)]), "Callers") : quiet("Nobody yet."));
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
$("#phone").addEventListener("click", () => $("#qr").showModal());
fetch("/console/me").then((answer) => answer.json()).then((me) => {
  token = me.token;
  $("#chat").textContent = $("#chat").href = me.chat;
  listen();
});
