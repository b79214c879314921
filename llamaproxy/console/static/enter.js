"use strict";
// A link from `agentctl console` carries its code behind the #, which no server's log and no proxy sees.
const said = document.getElementById("said");

function fail(text) {
  said.textContent = text;
  said.classList.add("bad");
}

async function enter(code) {
  history.replaceState(null, "", "/console");
  let answer = null;
  try {
    answer = await fetch("/console/enter", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({code})});
  } catch { fail("The server cannot be reached."); return; }
  if (answer.ok) { location.replace("/console"); return; }
  const problem = await answer.json().catch(() => ({}));
  fail(problem.error?.message || problem.error || `The server says ${answer.status}.`);
}

try {
  // Why who was in is out.
  said.textContent = sessionStorage.getItem("llamaproxy.out") || said.textContent;
  sessionStorage.removeItem("llamaproxy.out");
} catch { /* this browser keeps nothing */ }
const look = () => { if (location.hash.length > 1) enter(location.hash.slice(1)); };
// The link may be opened where this page is already.
addEventListener("hashchange", look);
look();
