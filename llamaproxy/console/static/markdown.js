"use strict";
// Markdown as nodes: what a model writes becomes text and a few known elements, never HTML, and nothing is loaded for it.
// A text is looked through once for each depth, and depths are few, so that no answer costs more than its length.

// Blocks within blocks that are told apart.
const DEEPEST = 8;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])( +|$)/;
const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?= |$)/;
const QUOTE = /^ {0,3}> ?/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/;
// Lines after which maths without an end is text.
const LONGEST_MATHS = 60;

function markdown(text) {
  const root = document.createElement("div");
  root.className = "md";
  blocks(text.replace(/\r\n?/g, "\n").split("\n").map(spaced), root, 0);
  return root;
}

const indentOf = (line) => line.length - line.trimStart().length;
// Tabs before the words count as four spaces.
const spaced = (line) => (line.includes("\t") ? line.replace(/^[ \t]+/, (before) => before.replaceAll("\t", "    ")) : line);

// Each takes what begins at a line, and gives the line behind it, or -1.
const KINDS = [fenced, indented, heading, ruled, quoted, tabled, listed, reckoned];

function blocks(lines, parent, depth) {
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) { at += 1; continue; }
    let next = -1;
    for (const kind of depth < DEEPEST ? KINDS : []) {
      next = kind(lines, at, parent, depth);
      if (next >= 0) break;
    }
    at = next >= 0 ? next : paragraph(lines, at, parent, depth);
  }
}

function code(parent, lines, language) {
  const box = add(parent, "div");
  box.className = "code";
  box.dir = "ltr";
  const head = add(box, "div");
  head.className = "head";
  add(head, "span").textContent = language;
  const pre = add(box, "pre");
  pre.tabIndex = 0;
  add(pre, "code").textContent = lines.join("\n");
}

function fenced(lines, from, parent) {
  const fence = FENCE.exec(lines[from]);
  if (!fence) return -1;
  const inside = [], before = indentOf(lines[from]), sign = fence[1][0];
  const closes = (line) => {
    const words = line.trim();
    return words.length >= fence[1].length && words === sign.repeat(words.length);
  };
  let at = from + 1;
  for (; at < lines.length && !closes(lines[at]); at += 1) inside.push(lines[at].slice(Math.min(before, indentOf(lines[at]))));
  code(parent, inside, fence[2].trim().split(/[\s{,]/)[0].slice(0, 30));
  return at + 1;
}

function indented(lines, from, parent) {
  if (!lines[from].startsWith("    ")) return -1;
  const inside = [];
  let at = from;
  for (; at < lines.length && (lines[at].startsWith("    ") || !lines[at].trim()); at += 1) inside.push(lines[at].slice(4));
  while (!inside[inside.length - 1].trim()) inside.pop();
  code(parent, inside, "");
  return at;
}

function heading(lines, from, parent) {
  const found = HEADING.exec(lines[from]);
  if (!found) return -1;
  let words = lines[from].slice(found[0].length).trim();
  let end = words.length;
  while (words[end - 1] === "#") end -= 1;
  if (end === 0 || words[end - 1] === " ") words = words.slice(0, end).trim();
  directed(words, add(parent, found[1].length < 3 ? "h2" : "h3"));
  return from + 1;
}

function ruled(lines, from, parent) {
  if (!RULE.test(lines[from])) return -1;
  add(parent, "hr");
  return from + 1;
}

function quoted(lines, from, parent, depth) {
  if (!QUOTE.test(lines[from])) return -1;
  const inside = [];
  let at = from;
  for (; at < lines.length && QUOTE.test(lines[at]); at += 1) inside.push(lines[at].replace(QUOTE, ""));
  blocks(inside, add(parent, "blockquote"), depth + 1);
  return at;
}

// What stands between the bars of a line, and on which side the second line of a table puts it.
function cellsOf(line) {
  const cells = [""];
  const words = line.trim();
  for (let at = words[0] === "|" ? 1 : 0; at < words.length; at += 1) {
    if (words[at] === "\\" && words[at + 1] === "|") { cells[cells.length - 1] += "|"; at += 1; }
    else if (words[at] === "|") cells.push("");
    else cells[cells.length - 1] += words[at];
  }
  if (cells.length > 1 && !cells[cells.length - 1].trim()) cells.pop();
  return cells.map((cell) => cell.trim());
}
function sidesOf(line) {
  const cells = line.includes("-") && (line.includes("|") || line.includes(":")) ? cellsOf(line) : [];
  if (!cells.length || !cells.every((cell) => /^:?-+:?$/.test(cell))) return null;
  return cells.map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "middle" : "end") : ""));
}
const isTable = (lines, at) => lines[at].includes("|") && at + 1 < lines.length && sidesOf(lines[at + 1]) !== null;

function tabled(lines, from, parent) {
  if (!isTable(lines, from)) return -1;
  const sides = sidesOf(lines[from + 1]);
  const box = add(parent, "div");
  box.className = "wide";
  box.tabIndex = 0;
  const table = add(box, "table");
  const row = (line, part, name) => {
    const tr = add(part, "tr");
    cellsOf(line).forEach((cell, index) => {
      const node = add(tr, name);
      if (sides[index]) node.className = sides[index];
      // In a table there is no other way to end a line, and models use it.
      cell.split(/<br ?\/?>/i).forEach((words, place) => { if (place) add(node, "br"); inline(words, node); });
      node.dir = "auto";
    });
  };
  row(lines[from], add(table, "thead"), "th");
  const body = add(table, "tbody");
  let at = from + 2;
  for (; at < lines.length && lines[at].includes("|"); at += 1) row(lines[at], body, "td");
  return at;
}

// A list: its items have what is indented behind their marks, with whatever blocks that is.
function listed(lines, from, parent, depth) {
  const first = ITEM.exec(lines[from]);
  if (!first) return -1;
  const ordered = /\d/.test(first[2]), node = add(parent, ordered ? "ol" : "ul");
  if (ordered) node.start = parseInt(first[2], 10);
  let at = from;
  for (;;) {
    const mark = at < lines.length ? ITEM.exec(lines[at]) : null;
    if (!mark || mark[1].length > first[1].length + 1 || /\d/.test(mark[2]) !== ordered) break;
    const least = mark[1].length + 2, most = mark[0].length;
    const inside = [lines[at].slice(most)];
    const own = (line) => inside.push(line.slice(Math.min(most, indentOf(line))));
    let fence = "", next = at + 1;
    for (; next < lines.length; next += 1) {
      const line = lines[next], indent = indentOf(line);
      if (!line.trim()) {
        const behind = lines[next + 1] ?? "";
        if (!fence && !(behind.trim() && indentOf(behind) >= least)) break;
      } else if (!fence && indent < least && (begins(lines, next) || !lines[next - 1].trim())) break;
      const marks = /^ *(`{3,}|~{3,})/.exec(line)?.[1] ?? "";
      if (marks && (!fence || (marks.startsWith(fence) && line.trim() === marks))) fence = fence ? "" : marks;
      own(line);
    }
    item(inside, add(node, "li"), depth);
    at = next;
    // Models leave lines between the items of a list.
    let behind = at;
    while (behind < lines.length && !lines[behind].trim()) behind += 1;
    if (behind > at && behind < lines.length && ITEM.test(lines[behind]) && indentOf(lines[behind]) >= first[1].length) at = behind;
  }
  return at;
}

function item(lines, node, depth) {
  const task = /^\[([ xX])\] /.exec(lines[0]);
  if (task) {
    lines[0] = `${task[1] === " " ? "☐" : "☑"} ${lines[0].slice(4)}`;
    node.className = "task";
  }
  blocks(lines, node, depth + 1);
  const words = node.firstElementChild;
  if (words?.nodeName === "P") words.replaceWith(...words.childNodes);
  node.dir = "auto";
}

// Formulas stay as they were written.
function reckoned(lines, from, parent) {
  const words = lines[from].trim();
  const end = words.startsWith("$$") ? "$$" : words.startsWith("\\[") ? "\\]" : "";
  if (!end) return -1;
  for (let at = from; at < lines.length && at < from + LONGEST_MATHS; at += 1) {
    const line = lines[at].trim();
    if (line.endsWith(end) && (at > from || line.length > 3)) {
      const box = add(parent, "div");
      box.className = "maths";
      box.dir = "ltr";
      box.tabIndex = 0;
      box.textContent = lines.slice(from, at + 1).join("\n");
      return at + 1;
    }
  }
  return -1;
}

// Whether something other than a paragraph begins at a line.
function begins(lines, at) {
  const line = lines[at], mark = ITEM.exec(line);
  return Boolean(mark?.[3]) || FENCE.test(line) || HEADING.test(line) || QUOTE.test(line) || RULE.test(line) || /^ *(?:\$\$|\\\[)/.test(line) || isTable(lines, at);
}

function paragraph(lines, from, parent, depth) {
  const words = [lines[from].trim()];
  let at = from + 1;
  for (; at < lines.length && lines[at].trim() && !(depth < DEEPEST && begins(lines, at)); at += 1) {
    if (/^ {0,3}=+ *$/.test(lines[at])) {
      directed(words.join("\n"), add(parent, "h2"));
      return at + 1;
    }
    words.push(lines[at].trim());
  }
  directed(words.join("\n"), add(parent, "p"));
  return at;
}
