"use strict";
// The chat page: a client like any other, at /v1/chat/completions. Chats stay in this browser.

const COMMANDS = [
  ["!help", "all commands"], ["!model", "list the models"], ["!trace", "what happened last"], ["!undo", "back before the last edit"],
  ["!branches", "branches of this talk"], ["!reset", "forget this conversation"], ["!whoami", "your session and rights"], ["!autogate status", "what tools may do"],
  ["!tool_suppress true", "hide what tools do"], ["!tool_suppress false", "show what tools do"], ["!stop", "end the running answer"], ["!get_system_info", "the server's state"],
];
const STARTS = ["What can you do?", "!help", "!whoami"];
// Milliseconds after which a lost answer is not told again by itself, and between two times that a growing one is kept.
const FRESH = 110000, KEEPING = 2000;
const WIDE = matchMedia("(min-width: 45.01rem)");

let chats = keptChats();
let chat = null;
let pictures = [], reading = Promise.resolve();
let renaming = null;
const running = new Map();

const titleOf = (each) => each.title || "New chat";

// A word on what goes on, with a button where something can be done about it.
function say(text, name = "", act = null) {
  const parts = text ? [document.createTextNode(text)] : [];
  if (act) parts.push(make("button", {type: "button", onclick: act}, name));
  if ($("#state").textContent !== text || act) fill($("#state"), parts);
}

function headers(mine) {
  const key = read("key", "");
  return {"Content-Type": "application/json", "X-Llamaproxy-Chat": mine.id, ...(key ? {Authorization: `Bearer ${key}`} : {})};
}

function keepNow(mine) {
  const answer = running.get(mine.id)?.answer;
  if (answer) answer.pending = Date.now();
  if (chats.includes(mine) && !keepChat(mine, chats)) say("This browser has no room to keep the chat.");
}

function open(mine) {
  chat = mine;
  shown = NEWEST;
  drawTalk(chat);
  list();
  busy();
  toEnd();
}
function start() { open(newChat()); }

function list() {
  $("#title").textContent = titleOf(chat);
  document.title = chat.title ? `${chat.title} · Chat` : "Chat";
  $("#model").value = [...$("#model").options].some((each) => each.value === chat.model) ? chat.model : "";
  fill($("#chats"), chats.map((each) => {
    if (each === renaming) {
      return make("li", {"data-key": `naming ${each.id}`}, make("input", {id: "naming", maxlength: "200", dir: "auto", value: titleOf(each), "aria-label": "Name of the chat"}));
    }
    return make("li", {"data-key": each.id, class: each === chat ? "now" : ""},
      make("button", {type: "button", class: `open ${running.has(each.id) ? "runs" : ""}`, dir: "auto", "aria-current": each === chat ? "true" : null, title: new Date(each.at).toLocaleString(), onclick: () => { open(each); side(WIDE.matches); }}, titleOf(each)),
      make("button", {type: "button", class: "small", "aria-label": `Rename ${titleOf(each)}`, onclick: () => rename(each)}, "✎"),
      make("button", {type: "button", class: "small", "aria-label": `Delete ${titleOf(each)}`, onclick: () => forget(each)}, "✕"));
  }));
}

function rename(each) {
  renaming = each;
  list();
  const field = $("#naming");
  const done = (takes, moves) => {
    if (renaming !== each) return;
    renaming = null;
    if (takes && field.value.trim()) { each.title = field.value.trim(); keepNow(each); }
    list();
    if (moves) $(`#chats [data-key="${each.id}"] button[aria-label^="Rename"]`)?.focus();
  };
  field.onkeydown = (event) => {
    if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); done(true, true); }
    if (event.key === "Escape") { event.stopPropagation(); done(false, true); }
  };
  field.onblur = () => done(true, false);
  field.focus();
  field.select();
}

function forget(each) {
  const place = chats.indexOf(each);
  running.get(each.id)?.hearing.stop();
  chats = chats.filter((other) => other !== each);
  forgetChat(each);
  if (each === chat) start(); else list();
  ($(`#chats li:nth-child(${place + 1}) .open`) || $("#new")).focus();
  say(`“${titleOf(each).slice(0, 40)}” is gone from this browser.`, "Undo", () => { chats.splice(place, 0, each); keepNow(each); list(); say(""); });
}

// What is sent of a chat: the server goes by its own history, and only has to know where in it this message stands.
function sent(messages) {
  const said = messages.filter((message) => message.role === "user" || message.text);
  const answered = said.findLastIndex((message) => message.role === "assistant");
  return said.map((message, index) => {
    const images = index > answered ? message.pictures || [] : [];
    if (!images.length) return {role: message.role, content: message.text};
    return {role: message.role, content: [...(message.text ? [{type: "text", text: message.text}] : []), ...images.map((url) => ({type: "image_url", image_url: {url}}))]};
  });
}

function send(text) {
  if (!chat.messages.length) chat.title ||= text.replace(/\s+/g, " ").slice(0, 60) || "A picture";
  chats = [chat, ...chats.filter((each) => each !== chat)];
  const named = /^!model\s+(\S+)$/.exec(text);
  if (named) chat.model = named[1];
  const last = chat.messages[chat.messages.length - 1];
  const message = {role: "user", text, at: Date.now(), ...(pictures.length ? {pictures: pictures.map((each) => each.full), thumbs: pictures.map((each) => each.thumb)} : {})};
  pictures = [];
  preview();
  chat.messages.push(message);
  if (last) paint(chat, last);
  append(chat, message);
  const answer = {role: "assistant", text: "", thoughts: "", at: Date.now(), pending: Date.now()};
  chat.messages.push(answer);
  append(chat, answer);
  toEnd();
  ask(chat, answer, 0);
}

function askAgain(mine, answer) {
  Object.assign(answer, {text: "", thoughts: "", error: "", note: "", pending: Date.now()});
  paint(mine, answer);
  ask(mine, answer, 1);
}

// Has a message answered; `tries` were made before.
async function ask(mine, answer, tries) {
  let drawn = 0, waiting = 0, kept = performance.now();
  const read = reader();
  const repaint = () => {
    waiting = 0;
    drawn = performance.now();
    paint(mine, answer);
    if (mine === chat) read(answer.text, !answer.pending);
    if (drawn - kept > KEEPING) { kept = drawn; keepNow(mine); }
  };
  const hearing = new Hearing({model: $("#model").value || "agent", messages: sent(mine.messages.slice(0, mine.messages.indexOf(answer))), stream: true}, headers(mine), {
    tries,
    // An answer is drawn a few times a second, however fast it comes; a long one less often.
    onto: (text, thoughts) => {
      Object.assign(answer, {text, thoughts});
      if (!waiting) waiting = setTimeout(repaint, Math.max(0, drawn + 60 + text.length / 200 - performance.now()));
    },
    lost: (is) => { if (mine === chat) say(is ? "The line is broken. Trying again…" : "Answering"); },
  });
  running.set(mine.id, {hearing, answer});
  mine.at = Date.now();
  keepNow(mine);
  list();
  busy();
  answer.error = await hearing.over;
  clearTimeout(waiting);
  delete answer.pending;
  if (running.get(mine.id)?.hearing === hearing) running.delete(mine.id);
  if (!answer.text && !answer.error && !answer.note && !answer.thoughts) answer.note = "Nothing came.";
  repaint();
  keepNow(mine);
  list();
  if (mine === chat) busy();
  if (hearing.status === 401) wantKey();
}

function stop() {
  const now = running.get(chat.id);
  if (!now) return;
  now.answer.note = "You stopped it.";
  now.hearing.stop();
  $("#text").focus();
}

function busy() {
  const is = running.has(chat.id);
  const moves = document.activeElement === $("#stop") && !is;
  $("#stop").hidden = !is;
  $("#send").hidden = is;
  say(is ? "Answering" : "");
  if (moves) $("#text").focus();
}

function preview() {
  $("#pictures").hidden = !pictures.length;
  fill($("#pictures"), pictures.map((each, index) => make("li", {}, make("img", {src: each.thumb, alt: `Picture ${index + 1}`}),
    make("button", {type: "button", "aria-label": `Leave out picture ${index + 1}`, onclick: () => { pictures.splice(index, 1); preview(); $("#text").focus(); }}, "✕"))));
}

// Pictures are read one after the other; what is sent meanwhile waits for them.
function attach(files) {
  for (const file of files) {
    reading = reading.then(async () => {
      if (pictures.length >= MOST) throw new Error(`A message takes ${MOST} pictures at most.`);
      pictures.push(await pictureOf(file));
      preview();
    }).catch((error) => say(error.message));
  }
}

function side(isOpen) {
  $("#side").hidden = !isOpen;
  // Over the page, it is all that can be reached.
  $("#scrim").hidden = !isOpen || WIDE.matches;
  $("#app").inert = isOpen && !WIDE.matches;
  $("#open-side").setAttribute("aria-expanded", String(isOpen));
}
function sheet(isOpen) {
  $("#sheet").hidden = !isOpen;
  $("#commands").setAttribute("aria-expanded", String(isOpen));
  if (isOpen) $("#sheet button").focus();
}
function wantKey() {
  say("This server wants an API key; enter it in the list of chats.", "Enter it", () => { side(true); $("#key").focus(); });
}

async function models() {
  const answer = await fetch("/v1/models", {headers: headers(chat)}).catch(() => null);
  if (!answer?.ok) { if (answer?.status === 401 || answer?.status === 403) wantKey(); else say(UNREACHABLE); return; }
  const {data} = await answer.json();
  $("#model").replaceChildren(make("option", {value: ""}, "Default model"), ...data.map((each) => make("option", {value: each.id}, each.id)));
  $("#model").hidden = data.length < 2;
  list();
}

// A command or a message, unless an answer is still coming.
function submit(text) {
  if (!running.has(chat.id)) { send(text); return true; }
  if (text === "!stop") { stop(); return true; }
  say("This answer is still coming. Stop it first, or wait for its end.");
  return false;
}

$("#form").addEventListener("submit", async (event) => {
  event.preventDefault();
  await reading;
  const text = $("#text").value.trim();
  if ((!text && !pictures.length) || !submit(text)) return;
  $("#text").value = "";
  grow();
  sheet(false);
});
function grow() {
  const field = $("#text");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}
$("#text").addEventListener("input", grow);
$("#text").addEventListener("keydown", (event) => {
  // On a phone the return key makes a line.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && matchMedia("(pointer: fine)").matches) { event.preventDefault(); $("#form").requestSubmit(); }
});
$("#stop").addEventListener("click", stop);
$("#new").addEventListener("click", () => { start(); side(WIDE.matches); $("#text").focus(); });
$("#open-side").addEventListener("click", () => { side($("#side").hidden); if (!$("#side").hidden) $("#new").focus(); });
$("#close-side").addEventListener("click", () => { side(false); $("#open-side").focus(); });
$("#scrim").addEventListener("click", () => { side(false); $("#open-side").focus(); });
$("#commands").addEventListener("click", () => sheet($("#sheet").hidden));
$("#sheet").append(...COMMANDS.map(([command, words]) => make("button", {type: "button", onclick: () => { sheet(false); submit(command); $("#text").focus(); }}, command, make("small", {}, words))));
$("#starts").append(...STARTS.map((text) => make("button", {type: "button", onclick: () => { submit(text); $("#text").focus(); }}, text)));
$("#earlier").addEventListener("click", () => {
  const talk = $("#talk"), below = talk.scrollHeight - talk.scrollTop;
  shown += MORE;
  drawTalk(chat);
  talk.scrollTop = talk.scrollHeight - below;
  talk.focus();
});
$("#down").addEventListener("click", () => { toEnd(); $("#text").focus(); });
$("#file").addEventListener("change", (event) => { attach([...event.target.files]); event.target.value = ""; $("#text").focus(); });
$("#text").addEventListener("paste", (event) => {
  // Some programs put a picture of the text beside it.
  const {files, types} = event.clipboardData;
  if (files.length && !types.includes("text/plain")) { event.preventDefault(); attach([...files]); }
});
const bringsFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => { if (bringsFiles(event)) { event.preventDefault(); document.body.classList.add("over"); } });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
addEventListener("drop", (event) => { document.body.classList.remove("over"); if (bringsFiles(event)) { event.preventDefault(); attach([...event.dataTransfer.files]); } });
$("#model").addEventListener("change", (event) => { const key = event.target.value; if (!key || !submit(`!model ${key}`)) list(); });
$("#keys").addEventListener("submit", (event) => { event.preventDefault(); $("#key").blur(); });
$("#key").addEventListener("change", (event) => { keep("key", event.target.value.trim()); say(""); models(); });
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (!$("#sheet").hidden) { sheet(false); $("#commands").focus(); } else if (!$("#side").hidden && !WIDE.matches) { side(false); $("#open-side").focus(); } else stop();
});

// The line may have gone while the page slept, or another window may have said something.
const look = () => { if (!document.hidden) for (const {hearing} of running.values()) hearing.look(); };
addEventListener("online", look);
document.addEventListener("visibilitychange", look);
addEventListener("pagehide", () => { for (const each of chats) if (running.has(each.id)) keepNow(each); });
addEventListener("storage", (event) => {
  if (!event.key?.startsWith(CHAT)) return;
  const id = event.key.slice(CHAT.length), fresh = read(`chat.${id}`, null);
  if (running.has(id)) return;
  const known = chats.find((each) => each.id === id);
  if (fresh && known) Object.assign(known, fresh); else if (fresh) chats.unshift(fresh); else chats = chats.filter((each) => each !== known);
  if (chat.id === id && fresh) {
    const stayed = stays;
    chat = known || fresh;
    drawTalk(chat);
    if (stayed) toEnd();
  }
  list();
});
// A keyboard on the screen leaves less of the page.
visualViewport?.addEventListener("resize", () => {
  if (visualViewport.scale === 1) document.documentElement.style.setProperty("--height", `${visualViewport.height}px`);
});
WIDE.addEventListener("change", () => side(WIDE.matches && chats.length > 1));

// A link may carry the key behind the #, which no log sees. It takes no other key's place unasked.
const paired = /^#key=([!-~]+)$/.exec(location.hash);
if (paired) {
  const brought = decodeURIComponent(paired[1]), had = read("key", "");
  history.replaceState(null, "", "/chat");
  if (!had || had === brought || confirm("Use the key that came with this link, instead of the one that this browser has?")) keep("key", brought);
}
$("#key").value = read("key", "");
if (chats.length) open(chats[0]); else start();
side(WIDE.matches && chats.length > 1);
models();
// Answers that were on their way when the page was left.
for (const each of chats) {
  const last = each.messages[each.messages.length - 1];
  if (!last?.pending) continue;
  if (Date.now() - last.pending < FRESH) { ask(each, last, 1); continue; }
  delete last.pending;
  last.note = CUT;
  paint(each, last);
}
