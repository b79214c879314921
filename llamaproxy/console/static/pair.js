"use strict";
// A link for a new device. Its code stands behind the #, which no server's log and no proxy sees; opening the page uses
// nothing up, since previews of links do that as well.

const $ = (selector) => document.querySelector(selector);
const code = location.hash.slice(1);
// Another link may be opened where this page is already.
addEventListener("hashchange", () => location.reload());
history.replaceState(null, "", "/pair");

function fail(title, text) {
  $("#title").textContent = title;
  $("#said").textContent = text;
  $("#said").classList.add("bad");
  $("#form").hidden = true;
  $("#again").hidden = false;
}

function device() {
  const agent = navigator.userAgent;
  const known = [[/iPhone/, "iPhone"], [/iPad/, "iPad"], [/Android/, "Android"], [/Macintosh/, "Mac"], [/Windows/, "Windows"], [/Linux/, "Linux"]];
  return known.find(([pattern]) => pattern.test(agent))?.[1] || "phone";
}

function connected({name, key, base}) {
  let kept = true;
  try { localStorage.setItem("llamaproxy.key", JSON.stringify(key)); } catch { kept = false; }
  $("#title").textContent = `Connected as ${name}`;
  $("#said").textContent = kept ? "This browser keeps the key, and shows it from now on." : "This browser keeps nothing; write the key down below, and enter it in the list of chats.";
  $("#ollama").value = base;
  $("#openai").value = `${base}/v1`;
  $("#key").value = key;
  $("#form").hidden = true;
  $("#done").hidden = false;
  $("#chat").focus();
}

$("#form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("#connect").disabled = true;
  try {
    const answer = await fetch("/pair", {
      method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({code, name: $("#name").value}),
    });
    const said = await answer.json();
    if (answer.ok) connected(said); else fail("This link does not work", said.error?.message || said.error);
  } catch {
    $("#said").textContent = "The server cannot be reached. The link is good as before.";
    $("#connect").disabled = false;
  }
});

for (const button of document.querySelectorAll("[data-of]")) {
  button.addEventListener("click", () => {
    // Without TLS browsers offer no other way to the clipboard.
    $(`#${button.dataset.of}`).select();
    button.textContent = document.execCommand("copy") ? "Copied" : "Select it";
  });
}

$("#name").value = device();
if (!code) fail("This page needs a link", "Nothing came along that could let a device in.");
