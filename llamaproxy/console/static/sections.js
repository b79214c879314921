"use strict";
// The console's sections: each drawn from what the server sends of it. Everything is put on the page as text.

const turns = new Map();
let asking = new Set(), streams = [], models = [], callers = [], accounts = [], sessions = [], listened = {}, known = 0, ahead = 0, found = null;
let written = {default: "", off: [], people: []};

const show = (section, ...children) => fill($(`#${section} .body`), children.filter((child) => child !== null));
const quiet = (text) => make("p", {class: "quiet"}, text);
const badge = (text, kind = "") => make("span", {class: `badge ${kind}`}, text);
// A name that others chose, whose letters may run the other way.
const named = (text) => make("bdi", {}, text);

// `rows` are [key, cells].
function table(heads, rows, label) {
  const cell = (tag, value, head) => make(tag, {class: `${head.num ? "num" : ""} ${head.hide ? "hide" : ""}`, scope: tag === "th" ? "col" : null}, tag === "th" && head.name instanceof Node ? head.name.cloneNode(true) : value);
  return make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": `Table: ${label}`},
    make("table", {},
      make("thead", {}, make("tr", {}, ...heads.map((head) => cell("th", head.name, head)))),
      make("tbody", {}, ...rows.map(([key, row]) => make("tr", {"data-key": key}, ...row.map((value, index) => cell("td", value, heads[index])))))));
}

function time(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 120) return `${value.toFixed(1)} s`;
  if (value < 7200) return `${(value / 60).toFixed(0)} min`;
  return value < 172800 ? `${(value / 3600).toFixed(0)} h` : `${(value / 86400).toFixed(0)} days`;
}
const count = (value) => (value >= 1e7 ? `${(value / 1e6).toFixed(0)}M` : value >= 1e4 ? `${(value / 1e3).toFixed(0)}k` : String(value));
const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(0)} MB`);
const many = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
const rate = (value) => (value ? `${value.toFixed(1)}/s` : "–");
// In the reader's own zone; with the day where it is not today's.
function clock(unix) {
  const at = new Date(unix * 1000);
  return at.toDateString() === new Date().toDateString() ? at.toLocaleTimeString() : at.toLocaleString([], {month: "short", day: "numeric", hour: "2-digit", minute: "2-digit"});
}
// Of a browser's long name the part that people know.
const program = (name) => (/(Edg|OPR|Firefox|Chrome|Safari)[/ ]?[\d.]*/.exec(name)?.[0] || name);

const ENDS = {running: ["runs", ""], done: ["done", "good"], cut: ["cut short", "warm"], failed: ["failed", "bad"], left: ["client left", "warm"], stopped: ["stopped", "warm"], asked: ["asked", "warm"]};
const ended = (record) => badge(...(ENDS[record.end] || [record.end, ""]));

const draw = {
  server(s) {
    known = s.known;
    ahead = Date.now() / 1000 - s.now;
    drawSessions();
    const away = s.nodes.length ? ` · ${s.nodes.length + 1} nodes` : "";
    $("#server").textContent = `llamaproxy ${s.version} · ${s.workers.length ? many(s.workers.length, "worker") : "one process"}${away} · up ${time(s.uptime)} · ${many(s.connections, "connection")} · ${many(s.known, "session")} in memory · ${size(s.memory)} · ${s.unsent} bytes wait for clients`;
    $("#workers").hidden = !s.workers.length && !s.nodes.length;
    const heads = [{name: "Worker"}, {name: "Process", num: true, hide: true}, {name: "Up", num: true}, {name: "Sessions", num: true}, {name: "Streams", num: true}, {name: "Paused", num: true, hide: true}, {name: "Connections", num: true, hide: true}, {name: "Memory", num: true}];
    show("workers",
      s.workers.length ? table(heads, s.workers.map((w) => [w.number, [String(w.number), String(w.pid), time(w.uptime), String(w.known), String(w.answering), String(w.paused), String(w.connections), size(w.memory)]]), "Workers") : null,
      s.nodes.length ? quiet(`Other nodes with the same store: ${s.nodes.join("; ")}. Each has a console of its own, which shows its own streams and sessions.`) : null);
  },

  hour(points) {
    const last = points[points.length - 1];
    const of = (key) => points.map((point) => point[key]);
    const newest = (key) => [...of(key)].reverse().find((value) => value !== null) ?? null;
    const sum = (key) => of(key).reduce((a, b) => a + b, 0);
    const failed = sum("failed");
    const measured = of("memory").map((memory, index) => (memory ? points[index].live : null));
    const memory = [...of("memory")].reverse().find((each) => each) || 0;
    const plain = (value) => String(value), tenths = (value) => value.toFixed(1);
    const most = (values, told) => { const found = values.filter((value) => value); return found.length ? `most ${told(Math.max(...found))}` : ""; };
    const tile = (name, value, more, values, told, wrong) => make("div", {class: "tile"},
      make("div", {class: "name"}, name),
      make("div", {class: "value"}, value, " ", make("small", {}, more)),
      chart(values, points.map((point) => clock(point.at)), `${name}, the last hour: now ${value}`, told, wrong),
      make("div", {class: "span"}, make("span", {}, "1 h ago"), make("span", {}, most(values, told)), make("span", {}, "now")));
    fill($("#hour"), [
      tile("Turns", String(sum("turns")), failed ? `this hour, ${failed} failed` : "this hour", of("turns"), plain, of("failed")),
      tile("First token", time(newest("first")), newest("first") === null ? "not measured yet" : "median", of("first"), time),
      tile("Speed", newest("rate") === null ? "–" : tenths(newest("rate")), newest("rate") === null ? "not measured yet" : "tokens/s", of("rate"), tenths),
      tile("Live streams", String(last.live), "at most, this minute", measured, plain),
      tile("Memory", size(memory), "", of("memory").map((each) => each || null), size)]);
  },

  streams(list) {
    streams = list;
    drawStreams();
  },

  questions(list) {
    asking = new Set(list.filter((q) => q.is_heard).map((q) => q.session_id));
    drawStreams();
    if (list.length && $("#questions").hidden) tell(`${many(list.length, "question")} for leave`);
    $("#questions").hidden = !list.length;
    title({asks: list.length});
    show("questions", ...list.map((q) => {
      const answer = (decision, text, kind) => make("button", {type: "button", class: kind, "aria-label": `${text}: ${q.calls[0]}`, onclick: () => change("decide", {session_id: q.session_id, code: q.code, decision})}, text);
      return make("div", {"data-key": `${q.session_id} ${q.code}`},
        make("p", {class: "quiet"}, named(q.session_id), ` · ${q.code} · ${q.is_heard ? "its reply waits for you" : "its reply has ended; the answer goes into the conversation"}`),
        make("pre", {dir: "ltr"}, q.calls.join("\n")),
        make("div", {class: "row"}, answer("yes", "Allow", "primary"), answer("always", "Always", ""), answer("no", "Deny", "danger")));
    }));
  },

  sessions(list) {
    sessions = list;
    drawSessions();
  },

  listened(names) {
    listened = names;
    title({listens: Object.keys(names).length > 0});
    drawSessions();
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
    const turned = async (event, s) => {
      const input = event.target, allowed = input.checked;
      if (!await change("switch", {kind: s.kind, name: s.name, side: s.side, allowed})) input.checked = !allowed;
    };
    const one = (s) => {
      const input = make("input", {type: "checkbox", role: "switch", "aria-label": `${name(s)}, ${s.side} without asking`, onchange: (event) => turned(event, s)});
      input.checked = s.allowed;
      return make("label", {class: "switch"}, input, s.side);
    };
    show("switches", list.length ? make("ul", {class: "list"}, ...[...byName].map(([key, sides]) => make("li", {class: "row", "data-key": key},
      named(name(sides[0])), sides[0].group ? badge(sides[0].group) : null, make("span", {class: "grow"}), make("span", {class: "sides"}, ...sides.map(one))))) : quiet("No tool is on."));
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
    show("warnings", list.length ? make("ul", {class: "list scroll", tabindex: "0", "aria-label": "Warnings"}, ...[...list].reverse().map((w) => make("li", {"data-key": `${w.at} ${w.number}`},
      make("span", {class: w.level === "warn" ? "warm" : "bad"}, `${clock(w.at)} ${w.level} `), named(w.text)))) : quiet("None."));
  },

  checkup(rows) {
    const asked = rows.filter((row) => row.complaint !== null).length;
    const wasRunning = $("#examine").disabled;
    $("#examine").disabled = rows.length > 0 && asked < rows.length;
    show("checkup", make("ul", {class: "list"}, ...rows.map((row) => make("li", {"data-key": row.key},
      make("span", {class: row.complaint === null ? "quiet" : row.complaint ? "bad" : "good"}, row.complaint === null ? "… " : row.complaint ? "✗ " : "✓ "), row.name,
      row.complaint ? make("p", {class: "bad"}, row.complaint) : null))));
    if (rows.length && asked === rows.length && wasRunning) tell(`The doctor is done: ${rows.filter((row) => !row.complaint).length} of ${rows.length} work.`);
  },

  records(list) {
    for (const record of list) turns.set(`${record.began} ${record.request_id}`, record);
    while (turns.size > 200) turns.delete(turns.keys().next().value);
    const heads = [{name: "At"}, {name: "Session"}, {name: "Model", hide: true}, {name: "First", num: true, hide: true}, {name: "Took", num: true, hide: true}, {name: "Rate", num: true, hide: true}, {name: "End"}];
    show("turns", table(heads, [...turns].reverse().slice(0, 100).map(([key, r]) => [key, [
      make("button", {type: "button", class: "plain", "aria-label": `The turn of ${clock(r.began)}, ${r.session_id}`, onclick: () => openTurn(r)}, clock(r.began)),
      named(r.session_id), r.model || (r.commands || []).map((name) => `!${name}`).join(" ") || "–", time(r.first ?? null), time(r.seconds || 0), rate(r.rate), ended(r)]]), "Turns"));
  },
};

function drawStreams() {
  const heads = [{name: "Session"}, {name: "Model", hide: true}, {name: "Client", hide: true}, {name: "Since", num: true, hide: true}, {name: "Pieces", num: true, hide: true}, {name: "Rate", num: true}, {name: "State"}, {name: make("span", {class: "hidden"}, "Stop")}];
  const stop = (s) => make("button", {type: "button", class: "small danger", "aria-label": `Stop the answer in ${s.session_id}`, onclick: () => change("stop", {session_id: s.session_id})}, "Stop");
  const state = (s) => (asking.has(s.session_id) ? badge("asks for leave", "warm") : s.is_paused ? badge("paused by reader", "warm") : s.waits ? badge("waits") : s.first === null ? badge("thinks") : badge("streams", "good"));
  show("streams", streams.length ? table(heads, streams.map((s) => [`${s.request_id} ${s.session_id}`, [named(s.session_id), s.model || "–", program(s.client) || "–", time(s.seconds), String(s.pieces), rate(s.rate), state(s), stop(s)]]), "Live streams") : quiet("Nobody is being answered right now."));
}

function drawSessions() {
  const heads = [{name: "Session"}, {name: "Model", hide: true}, {name: "Messages", num: true}, {name: "Idle", num: true}, {name: "Words in records", hide: true}];
  const list = found || sessions;
  const words = (s) => {
    const until = listened[s.session_id], minutes = until ? 0 : 10;
    const text = until ? `kept until ${clock(until)}; end` : "keep 10 min";
    return make("button", {type: "button", class: `small ${until ? "warm" : ""}`, "aria-label": `${text}: the words of ${s.session_id}`, onclick: () => change("words", {session_id: s.session_id, minutes}).then((ok) => ok && tell(minutes ? `The words of ${s.session_id} are kept for ten minutes.` : `The words of ${s.session_id} are kept no more.`))}, text);
  };
  show("sessions",
    list.length ? table(heads, list.map((s) => [s.session_id, [
      make("button", {type: "button", class: "plain", onclick: () => openTurns(s.session_id)}, named(s.session_id)),
      s.model, String(s.messages), s.waiting ? badge(`${s.waiting} running`, "good") : time(Math.max(0, Date.now() / 1000 - ahead - s.active)), words(s)]]), "Sessions") : quiet(found ? "None in memory. Enter looks for turns on record of a session of just that name." : "Nobody has talked yet."),
    !found && known > sessions.length ? quiet(`These ${sessions.length} of ${known} in memory were active last.`) : null);
}

// Those of all sessions in memory whose name has something in it; null for no wish.
async function seek(like) {
  const answer = like ? await asked(`sessions?like=${encodeURIComponent(like)}`) : null;
  if ($("#sought").value.trim() !== like) return;
  found = answer ? answer.sessions : null;
  drawSessions();
}

function drawModels() {
  const act = (key, to, words) => make("button", {type: "button", class: "small", "data-key": to, "aria-label": `${words}: ${key}`, onclick: () => change("model", {key, to}).then((ok) => ok && tell(`${key} is ${{on: "on", off: "off", default: "the default"}[to]}.`))}, words);
  const row = (m) => make("li", {"data-key": m.key},
    make("div", {class: "row"}, named(m.key), m.is_well ? badge(m.asked ? "well" : m.loaded ? "ready" : "not asked yet", m.asked ? "good" : "") : badge("fails", "bad"), m.key === written.default ? badge("default") : null, m.embedding ? badge("embeddings") : null, m.vision ? badge("sees") : null,
      make("span", {class: "grow"}), make("span", {class: "sides"}, m.key === written.default || m.embedding ? null : act(m.key, "default", "Make default"), m.key === written.default ? null : act(m.key, "off", "Switch off"))),
    quiet([`${m.kind} ${m.model_id}`, ...(m.asked ? [`${m.asked} asked, ${m.failed} failed`] : []), ...(m.first === null ? [] : [`first token ${time(m.first)}`]), ...(m.rate ? [rate(m.rate)] : [])].join(" · ")),
    m.error ? make("p", {class: m.is_well ? "quiet" : "bad"}, `Last error, ${clock(m.failed_at)}: `, named(m.error)) : null);
  const off = (key) => make("li", {"data-key": `off ${key}`}, make("div", {class: "row"}, make("bdi", {class: "quiet"}, key), badge("off"), make("span", {class: "grow"}), act(key, "on", "Switch on")));
  show("models", make("ul", {class: "list"}, ...models.map(row), ...written.off.map(off)));
}

function drawCallers() {
  const heads = [{name: "Caller"}, {name: "Turns", num: true}, {name: "Tokens in", num: true}, {name: "out", num: true}, {name: "Seen", num: true, hide: true}];
  const seen = callers.length ? table(heads, [...callers].reverse().map((c) => [c.caller, [named(c.caller || "–"), String(c.turns), count(c.prompt_tokens), count(c.completion_tokens), clock(c.seen)]]), "Callers") : quiet("Nobody has asked yet.");
  const budget = (used, most, span, name) => (most ? make("div", {class: "budget"}, make("span", {}, `${count(used)} of ${count(most)} tokens ${span}`), make("meter", {min: "0", max: String(most), value: String(Math.min(used, most)), high: String(most * 0.8), optimum: "0", "aria-label": `${name}: tokens ${span}`})) : null);
  const used = (a) => make("li", {}, named(a.caller), budget(a.hour, a.per_hour, "this hour", a.caller), budget(a.day, a.per_day, "this day", a.caller));
  const limit = (p) => [p.per_hour ? `${count(p.per_hour)} tokens an hour` : "", p.per_day ? `${count(p.per_day)} a day` : ""].filter(Boolean).join(", ");
  const person = (p) => make("li", {}, make("div", {class: "row"}, named(p.name), badge(`by ${p.by}`), p.operator ? badge("operator", "warm") : p.commands ? badge(`commands: ${p.commands}`) : null, make("span", {class: "quiet"}, limit(p))));
  const limited = accounts.filter((a) => a.per_hour || a.per_day);
  const part = (name, list, drawn) => (list.length ? [make("h3", {}, name), make("ul", {class: "list"}, ...list.map(drawn))] : []);
  show("callers", seen, ...part("Profiles", written.people, person), ...part("Budgets", limited, used));
}
