"use strict";
// One answer: asked for, read as it comes, and asked for again where the line broke. A try that says that it is one joins
// the turn that still runs, or gets its answer once more, from the beginning; so nothing is asked or told twice.

const ASK = "/v1/chat/completions";
// Milliseconds: waits between tries, how long they go on, and silences after which the line may be a dead one: of
// itself (the server says something every eight seconds), and when the page or the network comes back.
const WAITS = [500, 1000, 2000, 4000, 8000], PATIENCE = 180000, SILENCE = 20000, GLANCE = 9000;
const UNREACHABLE = "The server cannot be reached.";

class Hearing {
  // `onto` gets all text and thoughts so far, `lost` whether the line is broken; `tries` were made before.
  // `over` is kept with why it failed, or "".
  constructor(body, headers, {onto, lost, tries = 0}) {
    Object.assign(this, {body: JSON.stringify(body), headers, onto, lost, tries, failures: 0, at: performance.now()});
    this.line = null;
    this.coming = [];
    this.over = new Promise((resolve) => { this.end = (problem) => { this.isOver = true; this.hangUp(); resolve(problem); }; });
    this.watch = setInterval(() => { if (this.line || this.coming.length) this.look(SILENCE); }, 5000);
    this.connect();
  }

  hangUp() {
    clearInterval(this.watch);
    clearTimeout(this.waiting);
    for (const each of [this.line, ...this.coming]) each?.abort();
  }

  // The user wants no more of it. A server that knows of several tries waits for the next one, unless it is told.
  stop() {
    if (this.tries > 1) fetch(ASK, {method: "POST", headers: this.headers, body: JSON.stringify({model: "agent", messages: [{role: "user", content: "!stop"}]})}).catch(() => {});
    this.end("");
  }

  // After some silence the line may be a dead one. Another is made, and takes over once the server answers on it; only
  // then the old one is hung up, as the server would take that for the user's wish.
  look(silence = GLANCE) {
    if (this.isOver || ((this.line || this.coming.length) && performance.now() - this.at < silence)) return;
    clearTimeout(this.waiting);
    if (this.coming.length > 1) this.coming.shift().abort();
    this.connect();
  }

  async connect() {
    const mine = new AbortController(), count = this.tries;
    this.coming.push(mine);
    this.tries += 1;
    this.at = performance.now();
    try {
      const headers = count ? {...this.headers, "X-Stainless-Retry-Count": String(Math.min(count, 999))} : this.headers;
      const response = await fetch(ASK, {method: "POST", headers, signal: mine.signal, body: this.body});
      if (!response.ok) { await this.refused(response); return; }
      for (const each of [this.line, ...this.coming]) if (each !== mine) each?.abort();
      this.line = mine;
      this.coming = [];
      this.since = undefined;
      this.failures = 0;
      this.lost(false);
      await this.follow(response.body, mine);
    } catch {
      this.coming = this.coming.filter((each) => each !== mine);
      if (this.line === mine) this.line = null;
      if (!mine.signal.aborted && !this.line && !this.coming.length) this.again();
    }
  }

  again() {
    if (this.isOver) return;
    this.since ??= performance.now();
    if (performance.now() - this.since > PATIENCE) { this.end(UNREACHABLE); return; }
    this.lost(true);
    this.waiting = setTimeout(() => this.connect(), WAITS[Math.min(this.failures, WAITS.length - 1)]);
    this.failures += 1;
  }

  // What is no answer of our server's, a proxy says while it is away.
  async refused(response) {
    const said = await response.json().catch(() => null);
    const words = said?.error?.message ?? (typeof said?.error === "string" ? said.error : "");
    const isAway = said?.error?.code === "stopping" || (!words && [502, 503, 504].includes(response.status));
    if (isAway) throw new TypeError(UNREACHABLE);
    this.status = response.status;
    this.end(words || `The server says ${response.status}.`);
  }

  async follow(stream, mine) {
    let text = "", thoughts = "", isWhole = false;
    for await (const chunk of events(stream, () => { this.at = performance.now(); })) {
      if (this.line !== mine || this.isOver) return;
      if (chunk === "[DONE]") { isWhole = true; continue; }
      if (chunk.error?.code === "stopping") throw new TypeError(UNREACHABLE);
      if (chunk.error) { this.end(chunk.error.message || "The answer broke off."); return; }
      const delta = chunk.choices?.[0]?.delta || {};
      thoughts += delta.reasoning_content || delta.reasoning || "";
      text += delta.content || "";
      this.onto(text, thoughts);
    }
    if (!isWhole) throw new TypeError(UNREACHABLE);
    this.end("");
  }
}

// The events of a stream; `heard` is called for whatever comes.
async function* events(stream, heard) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    heard();
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ")) yield line === "data: [DONE]" ? "[DONE]" : JSON.parse(line.slice(6));
    }
  }
}
