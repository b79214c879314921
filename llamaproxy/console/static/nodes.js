"use strict";
// A page's nodes: made of names and text, never of HTML, and brought up to date in place. What has not changed stays the
// node that it was, with its focus, what is selected in it, and the finger that presses it just then.

const $ = (selector) => document.querySelector(selector);
const HANDLERS = ["onclick", "onchange"];

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element[key] = value;
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const keyOf = (node) => node.dataset?.key ?? null;

// Makes a node like a fresh one of the same name. Whether a detail is open is the reader's.
function patch(node, fresh) {
  if (!(node instanceof Element)) {
    if (node.data === fresh.data) return;
    // Text that has grown keeps what is selected in it.
    if (fresh.data.startsWith(node.data)) node.appendData(fresh.data.slice(node.data.length)); else node.data = fresh.data;
    return;
  }
  for (const {name} of [...node.attributes]) if (!fresh.hasAttribute(name) && name !== "open") node.removeAttribute(name);
  for (const {name, value} of fresh.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  for (const each of HANDLERS) node[each] = fresh[each];
  if (node.type === "checkbox") node.checked = fresh.checked;
  fill(node, [...fresh.childNodes]);
}

// Makes children like fresh ones: those with a key are found by it, others by their place.
function fill(parent, children) {
  const wanted = new Set(children.map(keyOf)), known = new Map();
  for (const child of [...parent.childNodes]) {
    const key = keyOf(child);
    if (key === null) continue;
    if (wanted.has(key)) known.set(key, child); else child.remove();
  }
  let at = parent.firstChild;
  for (const child of children) {
    const key = keyOf(child);
    const found = key === null ? (at && keyOf(at) === null ? at : null) : known.get(key);
    if (!found || found.nodeName !== child.nodeName) {
      parent.insertBefore(child, at);
    } else {
      if (found === at) at = at.nextSibling; else parent.insertBefore(found, at);
      patch(found, child);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}
