"use strict";
// The conversation on the page: messages as items, the newest of them, and the answer that grows.

const QUESTION = /Send !yes ([A-Z2-9]{4}) to allow it once, !always \1 for this session, or !no \1\.[^\]]*\]\s*$/;
// Messages that are on the page at first, and more of them each time that is asked for; pixels that still are the end.
const NEWEST = 60, MORE = 200, NEAR = 120;
const CUT = "This answer was cut off.";

const items = new WeakMap();
let shown = NEWEST;

// Whoever looks at the newest message stays there, whatever grows: an answer, a picture, a keyboard on the screen.
let stays = true;
function toEnd() {
  stays = true;
  $("#talk").scrollTop = $("#talk").scrollHeight;
}
const grown = new ResizeObserver(() => { if (stays) toEnd(); });
for (const each of ["#talk", "#log"]) grown.observe($(each));
$("#talk").addEventListener("scroll", () => {
  const talk = $("#talk");
  stays = talk.scrollHeight - talk.scrollTop - talk.clientHeight < NEAR;
  $("#down").hidden = stays;
}, {passive: true});

// All of a chat's newest messages anew.
function drawTalk(chat) {
  const left = Math.max(0, chat.messages.length - shown);
  $("#hello").hidden = chat.messages.length > 0;
  $("#earlier").hidden = !left;
  $("#heard").replaceChildren();
  $("#log").replaceChildren(...chat.messages.slice(left).map((message) => bubble(chat, message)));
}

function bubble(chat, message) {
  const item = make("li", {class: message.role === "user" ? "mine" : "theirs", dir: message.role === "user" ? "auto" : null, title: message.at ? new Date(message.at).toLocaleString() : null});
  items.set(message, item);
  paint(chat, message);
  return item;
}

function append(chat, message) {
  $("#hello").hidden = true;
  $("#log").append(bubble(chat, message));
}

// Brings the item of a message up to date, if it is on the page.
function paint(chat, message) {
  const item = items.get(message);
  if (item) fill(item, message.role === "user" ? said(message) : answered(chat, message));
}

function said(message) {
  const pictures = message.thumbs || message.pictures || [];
  return [...pictures.map((data) => make("img", {src: data, alt: "A picture you sent"})), ...(message.text ? [document.createTextNode(message.text)] : [])];
}

function answered(chat, message) {
  const parts = [], isLast = chat.messages[chat.messages.length - 1] === message;
  if (message.thoughts) parts.push(make("details", {"data-key": "thoughts"}, make("summary", {}, "Thoughts"), make("div", {dir: "auto"}, message.thoughts)));
  if (message.text) {
    const words = markdown(message.text);
    words.dataset.key = "words";
    words.querySelectorAll(".code .head").forEach(copyable);
    parts.push(words);
  } else if (message.pending) parts.push(make("span", {class: "dots", "data-key": "dots"}));
  if (message.note) parts.push(make("p", {class: "note", "data-key": "note"}, message.note));
  if (message.error) parts.push(make("p", {class: "bad", "data-key": "error", dir: "auto"}, message.error));
  if (isLast && !message.pending && (message.error || message.note === CUT)) {
    parts.push(make("div", {class: "again", "data-key": "again"}, make("button", {type: "button", onclick: () => askAgain(chat, message)}, "Try again")));
  }
  const found = isLast ? QUESTION.exec(message.text.slice(-2000)) : null;
  if (found) parts.push(leave(found[1]));
  return parts;
}

// Buttons for a question for leave; what they send is what anybody could type.
function leave(code) {
  const button = (command, words, kind) => make("button", {type: "button", class: kind, onclick: () => send(`${command} ${code}`)}, words);
  return make("div", {class: "leave", role: "group", "aria-label": "Give or refuse leave", "data-key": "leave"}, button("!yes", "Allow", "primary"), button("!always", "Always", ""), button("!no", "Deny", "danger"));
}

// A button over a piece of code. Without TLS browsers offer no other way to the clipboard.
function copyable(head) {
  head.append(make("button", {type: "button", onclick: (event) => {
    const button = event.currentTarget;
    getSelection().selectAllChildren(button.closest(".code").querySelector("code"));
    button.textContent = document.execCommand("copy") ? "Copied" : "Select it";
    getSelection().removeAllRanges();
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }}, "Copy"));
}

// What a screen reader says of an answer that comes: whole sentences, and each of them once.
function reader() {
  let told = 0, at = 0;
  return (text, isOver) => {
    const now = performance.now();
    if (!isOver && now - at < 1500) return;
    let end = text.length;
    if (!isOver) {
      const fresh = text.slice(told);
      const found = [...fresh.matchAll(/[.!?:。？！]\s|\n/g)].pop();
      end = found ? told + found.index + 1 : told;
    }
    if (end <= told) return;
    $("#heard").append(make("p", {dir: "auto"}, text.slice(told, end)));
    while ($("#heard").children.length > 6) $("#heard").firstChild.remove();
    told = end;
    at = now;
  };
}
