"use strict";
// Charts as SVG, drawn by hand: an hour is sixty numbers.

const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A bar for each of sixty minutes, and none where nothing was measured; `failed` is the part of it that went wrong. Each
// minute says its time and value, as `told`.
function chart(values, times, label, told, failed = []) {
  const most = Math.max(...values.filter((value) => value !== null), 0) || 1;
  const svg = shape("svg", {class: "chart", viewBox: `0 0 ${values.length} 30`, preserveAspectRatio: "none", role: "img", "aria-label": label});
  const bar = (index, value, kind) => {
    const height = value ? Math.max(1, (value / most) * 28) : 0;
    return shape("rect", {class: kind, x: index + 0.12, y: (29.5 - height).toFixed(2), width: 0.76, height: height.toFixed(2)});
  };
  values.forEach((value, index) => {
    if (value === null) return;
    const parts = [bar(index, value, "value")];
    if (failed[index]) parts.push(bar(index, failed[index], "failed"));
    const whole = shape("rect", {class: "minute", x: index, y: 0, width: 1, height: 30});
    svg.append(shape("g", {}, ...parts, whole, shape("title", {}, `${times[index]}: ${told(value)}${failed[index] ? `, ${failed[index]} failed` : ""}`)));
  });
  svg.append(shape("line", {class: "base", x1: 0, x2: values.length, y1: 29.75, y2: 29.75}));
  return svg;
}

// A row of a turn's timeline: `parts` are [from, to, class] in seconds of `total`.
function timeline(parts, total) {
  const svg = shape("svg", {viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true"});
  svg.append(shape("rect", {class: "track", x: 0, y: 4, width: 100, height: 2}));
  for (const [from, to, kind] of parts) {
    const left = Math.min(99.4, (from / total) * 100);
    svg.append(shape("rect", {class: `bar ${kind}`, x: left, y: 0, width: Math.max(0.6, (to / total) * 100 - left), height: 10, rx: 0.6}));
  }
  return svg;
}
