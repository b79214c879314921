"use strict";
// The marks within a text of Markdown: emphasis, code, links, formulas.

// Marks within marks that are told apart.
const DEEPEST_MARKS = 4;

const add = (parent, name) => parent.appendChild(document.createElement(name));

// Fills an element, and has its first letter say which way it runs. That comes last: the browser looks for that letter
// again with whatever is put in.
function directed(text, node) {
  inline(text, node);
  node.dir = "auto";
}

// Marks within a text. First it is taken apart, as code and links hold marks that are none; then emphasis is found.
function inline(text, parent, links = true) {
  emphasise(tokens(text, links), parent, 0);
}

// Where something is next, from a place on; as places only grow, a text is searched once for each thing.
function finder(text) {
  const known = new Map();
  return (what, from, suits = null) => {
    let found = known.get(what) ?? 0;
    if (found < 0 || found >= from) { if (known.has(what)) return found; }
    found = text.indexOf(what, from);
    while (found >= 0 && suits && !suits(found)) found = text.indexOf(what, found + 1);
    known.set(what, found);
    return found;
  };
}

function runAt(text, at) {
  let end = at + 1;
  while (text[end] === text[at]) end += 1;
  return end - at;
}

function tokens(text, links) {
  const found = [], find = finder(text);
  let plain = "";
  const put = (token) => { if (plain) found.push({text: plain}); plain = ""; found.push(token); };
  const node = (name, words, attributes = {}) => put({node: make(name, attributes, words)});
  let at = 0;
  while (at < text.length) {
    const sign = text[at], next = text[at + 1] ?? "";
    let end = -1;
    if (sign === "\n") { put({node: make("br")}); at += 1; continue; }
    if (sign === "\\" && (next === "(" || next === "[")) {
      end = find(next === "(" ? "\\)" : "\\]", at + 2);
      if (end > 0) { node("span", text.slice(at, end + 2), {class: "maths", dir: "ltr"}); at = end + 2; continue; }
    }
    if (sign === "\\" && /[\\`*_[\](){}<>#|~!$.+-]/.test(next)) { plain += next; at += 2; continue; }
    if (sign === "`") {
      const mark = "`".repeat(runAt(text, at));
      end = find(mark, at + mark.length, (place) => text[place - 1] !== "`" && text[place + mark.length] !== "`");
      if (end > 0) {
        const words = text.slice(at + mark.length, end).replaceAll("\n", " ");
        node("code", words.startsWith(" ") && words.endsWith(" ") && words.trim() ? words.slice(1, -1) : words, {dir: "ltr"});
        at = end + mark.length;
      } else { plain += mark; at += mark.length; }
      continue;
    }
    if (sign === "$") {
      const mark = next === "$" ? "$$" : "$";
      // An amount of money is none: a formula has no space within its marks, and no digit behind them.
      end = /\S/.test(text[at + mark.length] ?? "") ? find(mark, at + mark.length + 1, (place) => text[place - 1] !== "\\") : -1;
      if (end > 0 && (/\s/.test(text[end - 1]) || /\d/.test(text[end + mark.length] ?? ""))) end = -1;
      if (end > 0) node("span", text.slice(at, end + mark.length), {class: "maths", dir: "ltr"}); else plain += mark;
      at = (end > 0 ? end : at) + mark.length;
      continue;
    }
    if (links && (sign === "[" || (sign === "!" && next === "["))) {
      const link = linkAt(text, sign === "!" ? at + 1 : at, find);
      if (link) { put({node: link.node}); at = link.end; continue; }
    }
    if (links && (sign === "h" || sign === "<") && !/\w/.test(text[at - 1] ?? "")) {
      const begin = sign === "<" ? at + 1 : at;
      const address = /^https?:\/\//.test(text.slice(begin, begin + 8)) ? addressAt(text, begin) : "";
      const link = address ? linked(address, address) : null;
      if (link) { put({node: link}); at = begin + address.length + (sign === "<" && text[begin + address.length] === ">" ? 1 : 0); continue; }
    }
    if (sign === "*" || sign === "_" || (sign === "~" && next === "~")) {
      const run = runAt(text, at), before = text[at - 1] ?? " ", behind = text[at + run] ?? " ";
      const inWord = sign === "_" && /[\p{L}\p{N}]/u.test(before) && /[\p{L}\p{N}]/u.test(behind);
      if (run <= (sign === "~" ? 2 : 3) && !inWord) {
        const isWord = (other) => sign === "_" && /[\p{L}\p{N}]/u.test(other);
        put({run, sign, opens: /\S/.test(behind) && !isWord(before), closes: /\S/.test(before) && !isWord(behind)});
      } else plain += text.slice(at, at + run);
      at += run;
      continue;
    }
    plain += sign;
    at += 1;
  }
  if (plain) found.push({text: plain});
  return found;
}

function emphasise(list, parent, depth) {
  const none = new Set();
  for (let at = 0; at < list.length; at += 1) {
    const token = list[at];
    if (token.node) { parent.append(token.node); continue; }
    if (token.text !== undefined) { parent.append(token.text); continue; }
    const kind = token.sign + token.run;
    let end = -1;
    if (token.opens && depth < DEEPEST_MARKS && !none.has(kind)) {
      end = at + 1;
      while (end < list.length && !(list[end].sign === token.sign && list[end].closes && (list[end].run === token.run || list[end].run === 3))) end += 1;
      if (end === list.length) { none.add(kind); end = -1; }
    }
    if (end < 0) { parent.append(token.sign.repeat(token.run)); continue; }
    const names = {1: ["em"], 2: [token.sign === "~" ? "s" : "strong"], 3: ["strong", "em"]}[token.run];
    const node = names.reduce((outer, name) => add(outer, name), parent);
    // Of three marks at an end some belong to what stands within.
    const rest = list[end].run - token.run;
    const inside = [...list.slice(at + 1, end), ...(rest > 0 ? [{...list[end], run: rest, opens: false}] : [])];
    emphasise(inside, node, depth + 1);
    at = end;
  }
}

// A link [words](address), and where it ends.
function linkAt(text, from, find) {
  const stop = find("](", from + 1);
  if (stop < 0 || stop - from > 500) return null;
  const words = text.slice(from + 1, stop);
  if (/[[\]]/.test(words)) return null;
  let open = 1, end = stop + 2;
  for (; end < text.length && end - stop < 2000 && text[end] !== "\n"; end += 1) {
    if (text[end] === "(") open += 1;
    else if (text[end] === ")") { open -= 1; if (!open) break; }
  }
  if (open) return null;
  const node = linked(text.slice(stop + 2, end).trim().split(/\s/)[0].replace(/^<|>$/g, ""), words);
  return node && {node, end: end + 1};
}

// The address that is written at a place, without what ends the sentence.
function addressAt(text, from) {
  let end = from;
  while (end < text.length && end - from < 2000 && !/[\s<>"'`*\]|]/.test(text[end])) end += 1;
  // A bracket that the address has not opened is the sentence's.
  let extra = 0;
  for (let at = from; at < end; at += 1) extra += text[at] === ")" ? 1 : text[at] === "(" ? -1 : 0;
  for (; end > from; end -= 1) {
    const last = text[end - 1];
    if (last === ")" ? extra <= 0 : !/[.,;:!?_]/.test(last)) break;
    if (last === ")") extra -= 1;
  }
  return text.slice(from, end);
}

// A link leads to the web and nowhere else, and where its words name another place than it leads to, it says so.
function linked(address, words) {
  let url;
  try { url = new URL(address); } catch { return null; }
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  const node = make("a", {href: url.href, target: "_blank", rel: "noopener noreferrer nofollow", title: url.href});
  if (address === words) node.append(words); else inline(words || "picture", node, false);
  const named = /^(?:https?:\/\/)?([\w-]+(?:\.[\w-]+)+)/i.exec(words.trim())?.[1].toLowerCase();
  if (named && named.includes(".") && address !== words && named !== url.hostname && `www.${named}` !== url.hostname) node.append(` (${url.hostname})`);
  return node;
}
