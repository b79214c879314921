"use strict";
// Markdown as nodes: what a model writes becomes text and a few known elements, never HTML. Each look goes forward
// through the text once, so that no answer costs more than its length.

const ITEM = /^( *)([-*+]|\d{1,9}[.)]) +/;
// Lists within lists that are told apart.
const DEEPEST = 6;

function markdown(text) {
  const root = document.createElement("div");
  root.className = "md";
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const add = (name, parent = root) => parent.appendChild(document.createElement(name));
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const fence = /^ {0,3}(`{3,}|~{3,})/.exec(line);
    if (fence) {
      const code = [];
      for (at += 1; at < lines.length && !lines[at].trimStart().startsWith(fence[1]); at += 1) code.push(lines[at]);
      at += 1;
      const box = add("pre");
      box.tabIndex = 0;
      add("code", box).textContent = code.join("\n");
      continue;
    }
    if (!line.trim()) { at += 1; continue; }
    if (line.startsWith("    ")) {
      const code = [];
      for (; at < lines.length && lines[at].startsWith("    "); at += 1) code.push(lines[at].slice(4));
      const box = add("pre");
      box.tabIndex = 0;
      add("code", box).textContent = code.join("\n");
      continue;
    }
    const heading = /^ {0,3}(#{1,6}) +/.exec(line);
    if (heading) {
      inline(line.slice(heading[0].length), add(heading[1].length < 3 ? "h2" : "h3"));
      at += 1;
      continue;
    }
    if (/^ {0,3}([-*_])( *\1){2,} *$/.test(line)) { add("hr"); at += 1; continue; }
    if (/^ {0,3}>/.test(line)) {
      const quoted = [];
      for (; at < lines.length && /^ {0,3}>/.test(lines[at]); at += 1) quoted.push(lines[at].replace(/^ {0,3}> ?/, ""));
      inline(quoted.join("\n"), add("blockquote"));
      continue;
    }
    if (line.includes("|") && at + 1 < lines.length && /^ *\|? *:?-+:? *(\| *:?-+:? *)*\|? *$/.test(lines[at + 1])) {
      const box = add("div");
      box.className = "wide";
      box.tabIndex = 0;
      const table = add("table", box);
      cells(line, add("tr", add("thead", table)), "th");
      const body = add("tbody", table);
      for (at += 2; at < lines.length && lines[at].includes("|"); at += 1) cells(lines[at], add("tr", body), "td");
      continue;
    }
    if (ITEM.test(line)) { at = list(lines, at, root); continue; }
    const words = [];
    for (; at < lines.length && lines[at].trim() && !/^ {0,3}(`{3}|~{3}|#{1,6} |>)/.test(lines[at]) && !(words.length && ITEM.test(lines[at])); at += 1) words.push(lines[at]);
    if (!words.length) { words.push(lines[at]); at += 1; }
    inline(words.join("\n"), add("p"));
  }
  return root;
}

// A list and those within it, by how far their items are indented; gives the line behind it.
function list(lines, from, root) {
  const open = [];
  let at = from;
  while (at < lines.length) {
    const found = ITEM.exec(lines[at]);
    if (!found) break;
    const depth = found[1].length, ordered = /\d/.test(found[2]);
    while (open.length > 1 && depth < open[open.length - 1].depth) open.pop();
    let last = open[open.length - 1];
    if (!last || (depth > last.depth + 1 && open.length < DEEPEST)) {
      const parent = last?.node.lastElementChild || root;
      last = {depth, node: parent.appendChild(document.createElement(ordered ? "ol" : "ul"))};
      if (ordered) last.node.start = parseInt(found[2], 10);
      open.push(last);
    }
    const words = [lines[at].slice(found[0].length)];
    for (at += 1; at < lines.length && lines[at].trim() && !ITEM.test(lines[at]) && !/^ {0,3}(`{3}|~{3}|#)/.test(lines[at]); at += 1) words.push(lines[at].trim());
    inline(words.join("\n"), last.node.appendChild(document.createElement("li")));
    // Models leave lines between the items of a list.
    if (at + 1 < lines.length && !lines[at].trim() && ITEM.test(lines[at + 1]) && /\d/.test(ITEM.exec(lines[at + 1])[2]) === /\d/.test(found[2])) at += 1;
  }
  return at;
}

function cells(line, row, name) {
  for (const cell of line.trim().replace(/^\||\|$/g, "").split("|")) inline(cell.trim(), row.appendChild(document.createElement(name)));
}

// Marks within a line. A mark without its end is text; where each kind of end was not found is remembered.
function inline(text, parent) {
  const none = {};
  let plain = "";
  const flush = () => { if (plain) parent.append(plain); plain = ""; };
  const end = (mark, from) => {
    if (none[mark] !== undefined && from >= none[mark]) return -1;
    const found = text.indexOf(mark, from);
    if (found < 0) none[mark] = from;
    return found;
  };
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (sign === "\\" && /[\\`*_[\]#|~!-]/.test(text[at + 1] || "")) { plain += text[at + 1]; at += 1; continue; }
    if (sign === "\n") { flush(); parent.append(document.createElement("br")); continue; }
    let mark = "", name = "";
    if (sign === "`") { mark = "`"; name = "code"; }
    else if (text.startsWith("**", at)) { mark = "**"; name = "strong"; }
    else if (text.startsWith("~~", at)) { mark = "~~"; name = "s"; }
    else if (sign === "*") { mark = "*"; name = "em"; }
    else if (sign === "_" && !/\w/.test(text[at - 1] || "")) { mark = "_"; name = "em"; }
    if (mark && /\S/.test(text[at + mark.length] || "")) {
      const stop = end(mark, at + mark.length + 1);
      if (stop > 0) {
        flush();
        const node = parent.appendChild(document.createElement(name));
        const inside = text.slice(at + mark.length, stop);
        if (name === "code") node.textContent = inside; else emphasis(inside, node);
        at = stop + mark.length - 1;
        continue;
      }
    }
    if (sign === "[") {
      const stop = end("](", at + 1);
      const close = stop > 0 && stop - at < 500 ? end(")", stop + 2) : -1;
      if (close > 0 && close - stop < 2000 && link(text.slice(at + 1, stop), text.slice(stop + 2, close), parent, flush)) { at = close; continue; }
    }
    if (sign === "h" && (text.startsWith("https://", at) || text.startsWith("http://", at)) && !/\w/.test(text[at - 1] || "")) {
      let stop = at;
      while (stop < text.length && !/[\s<>"')\]]/.test(text[stop])) stop += 1;
      while (/[.,;:!?]/.test(text[stop - 1])) stop -= 1;
      const address = text.slice(at, stop);
      if (link(address, address, parent, flush)) { at = stop - 1; continue; }
    }
    plain += sign;
  }
  flush();
}

// What stands inside of emphasis: code and text, no deeper.
function emphasis(text, parent) {
  text.split("`").forEach((piece, index, all) => {
    if (index % 2 && index < all.length - 1) parent.appendChild(document.createElement("code")).textContent = piece;
    else parent.append(index % 2 ? `\`${piece}` : piece);
  });
}

// A link leads to the web and nowhere else.
function link(words, address, parent, flush) {
  let url;
  try { url = new URL(address.trim().split(/\s/)[0]); } catch { return false; }
  if (url.protocol !== "https:" && url.protocol !== "http:") return false;
  flush();
  const node = parent.appendChild(document.createElement("a"));
  node.href = url.href;
  node.target = "_blank";
  node.rel = "noopener noreferrer nofollow";
  node.textContent = words;
  return true;
}
