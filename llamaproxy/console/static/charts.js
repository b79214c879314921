"use strict";
// Charts as SVG, drawn by hand: an hour is sixty numbers.

const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A line over sixty minutes; where nothing was measured it has a gap. Each minute says its time and value, as `told`.
function chart(values, times, label, told) {
  const most = Math.max(...values.filter((value) => value !== null), 0) || 1;
  const x = (index) => (index / (values.length - 1)) * 100;
  const y = (value) => 29 - (value / most) * 26;
  const svg = shape("svg", {class: "chart", viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img", "aria-label": label});
  let run = [];
  const line = () => {
    if (run.length) {
      if (run.length === 1) run.push([Math.max(0, run[0][0] - 0.8), run[0][1]]);
      const points = run.map(([a, b]) => `${a.toFixed(2)},${b.toFixed(2)}`).join(" ");
      svg.append(shape("polygon", {class: "area", points: `${run[0][0]},29 ${points} ${run[run.length - 1][0]},29`}));
      svg.append(shape("polyline", {class: "stroke", points}));
    }
    run = [];
  };
  values.forEach((value, index) => {
    if (value === null) line(); else run.push([x(index), y(value)]);
  });
  line();
  svg.append(shape("line", {class: "base", x1: 0, x2: 100, y1: 29.5, y2: 29.5}));
  const step = 100 / (values.length - 1);
  values.forEach((value, index) => {
    if (value !== null) svg.append(shape("rect", {class: "minute", x: (x(index) - step / 2).toFixed(2), y: 0, width: step.toFixed(2), height: 30}, shape("title", {}, `${times[index]}: ${told(value)}`)));
  });
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
