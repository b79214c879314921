"use strict";
// The chat page: a client like any other, at /v1/chat/completions. Chats stay in this browser.

const $ = (selector) => document.querySelector(selector);
const COMMANDS = [
  ["!help", "all commands"], ["!model", "list the models"], ["!trace", "what happened last"], ["!undo", "back before the last edit"],
  ["!branches", "branches of this talk"], ["!reset", "forget this conversation"], ["!whoami", "your session and rights"], ["!autogate status", "what tools may do"],
  ["!tool_suppress true", "hide what tools do"], ["!tool_suppress false", "show what tools do"], ["!stop", "end the running answer"], ["!get_system_info", "the server's state"],
];
// Pixels of a picture's longer side, and characters of chats that are kept.
const PIXELS = 1280, KEPT = 4000000;
const QUESTION = /Send !yes ([A-Z2-9]{4}) to allow it once, !always \1 for this session, or !no \1\.[^\]]*\]\s*$/;

let chats = read("chats", []);
let chat = null;
let running = null;
let pictures = [];

function read(name, otherwise) {
  try { return JSON.parse(localStorage.getItem(`llamaproxy.${name}`)) ?? otherwise; } catch { return otherwise; }
}
function keep(name, value) {
  try { localStorage.setItem(`llamaproxy.${name}`, JSON.stringify(value)); return true; } catch { return false; }
}
function save() {
  // What does not fit goes, the oldest pictures first and then the oldest chats.
  const kept = chats.map((each) => ({...each, messages: [...each.messages]}));
  const fits = () => JSON.stringify(kept).length < KEPT && keep("chats", kept);
  while (kept.length && !fits()) {
    const heavy = kept.findLast((each) => each.messages.some((message) => message.pictures?.length));
    if (heavy) heavy.messages = heavy.messages.map((message) => ({...message, pictures: []}));
    else kept.pop();
  }
}
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}
function say(text) { $("#state").textContent = text; }
function headers() {
  const key = read("key", "");
  return {"Content-Type": "application/json", "X-Llamaproxy-Chat": chat.id, ...(key ? {Authorization: `Bearer ${key}`} : {})};
}

function start() {
  chat = {id: `web-${crypto.getRandomValues(new Uint32Array(2)).join("")}`, title: "New chat", messages: []};
  draw();
}

function draw() {
  $("#title").textContent = chat.title;
  $("#hello").hidden = chat.messages.length > 0;
  $("#log").replaceChildren(...chat.messages.map((message) => bubble(message)));
  const last = chat.messages[chat.messages.length - 1];
  if (last && last.role === "assistant") offer($("#log").lastElementChild, last.text);
  $("#chats").replaceChildren(...chats.map((each) => make("li", {},
    make("button", {type: "button", "aria-current": each === chat ? "true" : null, onclick: () => { chat = each; draw(); side(innerWidth > 720); }}, each.title),
    make("button", {type: "button", "aria-label": `Delete ${each.title}`, onclick: () => { chats = chats.filter((other) => other !== each); save(); if (each === chat) start(); else draw(); }}, "✕"))));
  $("#talk").scrollTop = $("#talk").scrollHeight;
}

function bubble(message) {
  if (message.role === "user") return make("li", {class: "mine"}, ...(message.pictures || []).map((data) => make("img", {src: data, alt: "A picture you sent"})), message.text);
  const item = make("li", {class: "theirs"});
  paint(item, message);
  return item;
}

function paint(item, message) {
  const parts = [];
  if (message.thoughts) parts.push(make("details", item.querySelector("details")?.open ? {open: ""} : {}, make("summary", {}, "Thoughts"), make("div", {}, message.thoughts)));
  parts.push(message.text ? markdown(message.text) : make("span", {class: running ? "dots" : ""}));
  if (message.error) parts.push(make("p", {class: "bad"}, message.error));
  item.replaceChildren(...parts);
  item.querySelectorAll("pre").forEach(copyable);
}

// A button beside a piece of code. Without TLS browsers offer no other way to the clipboard.
function copyable(code) {
  const button = make("button", {type: "button", class: "copy", onclick: () => {
    getSelection().selectAllChildren(code);
    button.textContent = document.execCommand("copy") ? "Copied" : "Select it";
    getSelection().removeAllRanges();
  }}, "Copy");
  const box = make("div", {class: "code"});
  code.replaceWith(box);
  box.append(code, button);
}

// Buttons for a question for leave; what they send is what anybody could type.
function offer(item, text) {
  const found = QUESTION.exec(text.slice(-2000));
  item.querySelector(".leave")?.remove();
  if (!found) return;
  const button = (command, words, kind) => make("button", {type: "button", class: kind, onclick: () => send(`${command} ${found[1]}`)}, words);
  item.append(make("div", {class: "leave", role: "group", "aria-label": "Give or refuse leave"}, button("!yes", "Allow", "primary"), button("!always", "Always", ""), button("!no", "Deny", "")));
}

function content(message) {
  if (!message.pictures?.length) return message.text;
  return [{type: "text", text: message.text}, ...message.pictures.map((url) => ({type: "image_url", image_url: {url}}))];
}

async function send(text) {
  running?.abort();
  if (!chat.messages.length) {
    chat.title = text.slice(0, 60) || "A picture";
    chats.unshift(chat);
  }
  chat.messages.push({role: "user", text, pictures});
  pictures = [];
  preview();
  draw();
  const mine = chat, answer = {role: "assistant", text: "", thoughts: ""};
  const messages = mine.messages.map((message) => ({role: message.role, content: content(message)}));
  mine.messages.push(answer);
  const item = $("#log").appendChild(make("li", {class: "theirs"}));
  const talk = new AbortController();
  running = talk;
  busy(true);
  paint(item, answer);
  let drawn = 0, waiting = 0;
  const follow = () => { const t = $("#talk"); return t.scrollHeight - t.scrollTop - t.clientHeight < 120; };
  const repaint = () => {
    waiting = 0;
    drawn = performance.now();
    const near = follow();
    paint(item, answer);
    offer(item, answer.text);
    if (near) $("#talk").scrollTop = $("#talk").scrollHeight;
  };
  // An answer is drawn a few times a second, however fast it comes; a long one less often.
  const soon = () => { if (!waiting) waiting = setTimeout(repaint, Math.max(0, drawn + 60 + answer.text.length / 200 - performance.now())); };
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST", headers: headers(), signal: talk.signal,
      body: JSON.stringify({model: $("#model").value || "agent", messages, stream: true}),
    });
    if (!response.ok) throw new Error((await response.json()).error?.message || `The server says ${response.status}.`);
    for await (const chunk of events(response.body)) {
      if (chunk.error) throw new Error(chunk.error.message);
      const delta = chunk.choices?.[0]?.delta || {};
      answer.thoughts += delta.reasoning_content || delta.reasoning || "";
      answer.text += delta.content || "";
      soon();
    }
  } catch (error) {
    answer.error = talk.signal.aborted ? "" : error instanceof TypeError ? "The server cannot be reached." : error.message;
  }
  clearTimeout(waiting);
  if (running === talk) { running = null; busy(false); }
  repaint();
  if (!answer.text && !answer.error && !answer.thoughts) mine.messages.splice(mine.messages.indexOf(answer), 1);
  save();
}

// The JSON of each event of a stream.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ") && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
    }
  }
}

function busy(is) {
  $("#stop").hidden = !is;
  $("#send").hidden = is;
  say(is ? "Answering" : "");
}

function preview() {
  $("#pictures").replaceChildren(...pictures.map((data, index) => make("li", {}, make("img", {src: data, alt: `Picture ${index + 1}`}),
    make("button", {type: "button", "aria-label": `Leave out picture ${index + 1}`, onclick: () => { pictures.splice(index, 1); preview(); }}, "✕"))));
}

async function attach(file) {
  try {
    const image = await createImageBitmap(file);
    const scale = Math.min(1, PIXELS / Math.max(image.width, image.height));
    const canvas = make("canvas", {width: Math.round(image.width * scale), height: Math.round(image.height * scale)});
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    pictures.push(canvas.toDataURL("image/jpeg", 0.85));
    preview();
  } catch { say("This is not a picture that the browser can read."); }
}

function side(open) {
  $("#side").hidden = !open;
  $("#open-side").setAttribute("aria-expanded", String(open));
}
function sheet(open) {
  $("#sheet").hidden = !open;
  $("#commands").setAttribute("aria-expanded", String(open));
  if (open) $("#sheet button").focus();
}

async function models() {
  const answer = await fetch("/v1/models", {headers: headers()}).catch(() => null);
  if (!answer?.ok) { say(answer?.status === 401 ? "This server wants an API key; enter it in the list of chats." : "The server cannot be reached."); return; }
  const {data} = await answer.json();
  $("#model").replaceChildren(...data.map((each) => make("option", {value: each.id}, each.id)));
  $("#model").hidden = data.length < 2;
  const was = read("model", "");
  if (data.some((each) => each.id === was)) $("#model").value = was;
}

$("#form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("#text").value.trim();
  if (!text && !pictures.length) return;
  $("#text").value = "";
  grow();
  sheet(false);
  send(text);
});
function grow() {
  const field = $("#text");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}
$("#text").addEventListener("input", grow);
$("#text").addEventListener("keydown", (event) => {
  // On a phone the return key makes a line.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && matchMedia("(pointer: fine)").matches) { event.preventDefault(); $("#form").requestSubmit(); }
});
$("#stop").addEventListener("click", () => running?.abort());
$("#new").addEventListener("click", () => { start(); side(innerWidth > 720); $("#text").focus(); });
$("#open-side").addEventListener("click", () => { side($("#side").hidden); if (!$("#side").hidden) $("#new").focus(); });
$("#close-side").addEventListener("click", () => { side(false); $("#open-side").focus(); });
$("#commands").addEventListener("click", () => sheet($("#sheet").hidden));
$("#sheet").append(...COMMANDS.map(([command, words]) => make("button", {type: "button", onclick: () => { sheet(false); send(command); }}, command, make("small", {}, words))));
$("#file").addEventListener("change", async (event) => { for (const file of event.target.files) await attach(file); event.target.value = ""; });
$("#text").addEventListener("paste", (event) => { for (const file of event.clipboardData.files) attach(file); });
$("#model").addEventListener("change", (event) => { keep("model", event.target.value); send(`!model ${event.target.value}`); });
$("#keys").addEventListener("submit", (event) => { event.preventDefault(); $("#key").blur(); });
$("#key").addEventListener("change", (event) => { keep("key", event.target.value.trim()); models(); });
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (!$("#sheet").hidden) { sheet(false); $("#commands").focus(); } else if (!$("#side").hidden && innerWidth <= 720) { side(false); $("#open-side").focus(); } else running?.abort();
});

// A link may carry the key behind the #, which no log sees.
const paired = /^#key=([!-~]+)$/.exec(location.hash);
if (paired) { keep("key", decodeURIComponent(paired[1])); history.replaceState(null, "", "/chat"); }
$("#key").value = read("key", "");
if (chats.length) { chat = chats[0]; draw(); } else start();
side(innerWidth > 720 && chats.length > 1);
models();
