"use strict";
// Chats at rest, in this browser. Each has a name of its own there, so that two windows don't write over each other's.

const PREFIX = "llamaproxy.", CHAT = `${PREFIX}chat.`;
// Characters of one chat that are kept, which is less than what browsers hold for all.
const KEPT = 3000000;

function read(name, otherwise) {
  try { return JSON.parse(localStorage.getItem(PREFIX + name)) ?? otherwise; } catch { return otherwise; }
}
function keep(name, value) {
  try { localStorage.setItem(PREFIX + name, JSON.stringify(value)); return true; } catch { return false; }
}

function newChat() {
  return {id: `web-${crypto.getRandomValues(new Uint32Array(2)).join("")}`, title: "", at: Date.now(), messages: []};
}

// All chats, the newest first.
function keptChats() {
  let names = [];
  try { names = Object.keys(localStorage).filter((name) => name.startsWith(CHAT)); } catch { /* a browser that keeps nothing */ }
  const found = names.map((name) => read(name.slice(PREFIX.length), null)).filter((each) => each?.id && Array.isArray(each.messages));
  return found.sort((a, b) => b.at - a.at);
}

// What waits for its answer keeps its pictures; of others a small one is left.
const slim = (message, index, all) => (message.thumbs && message.pictures && all.slice(index + 1).some((each) => each.text && !each.pending) ? {...message, pictures: undefined} : message);

// Keeps a chat. Where there is no room its oldest messages go first, then the oldest of the other chats.
function keepChat(chat, others) {
  let messages = chat.messages.map(slim);
  while (JSON.stringify(messages).length > KEPT) messages = messages.slice(Math.ceil(messages.length / 10));
  const old = others.filter((each) => each !== chat).sort((a, b) => b.at - a.at);
  while (!keep(`chat.${chat.id}`, {...chat, messages})) {
    if (!old.length) return false;
    forgetChat(old.pop());
  }
  return true;
}

function forgetChat(chat) {
  try { localStorage.removeItem(CHAT + chat.id); } catch { /* it was not there */ }
}

// The chats of a page from before each had its own name.
for (const chat of read("chats", [])) keepChat({at: 0, ...chat}, []);
try { localStorage.removeItem(`${PREFIX}chats`); } catch { /* nothing is kept */ }
