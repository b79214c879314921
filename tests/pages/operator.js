"use strict";
// One scene in a real browser: the operator at the console, a phone at the chat page. It says on standard output when
// something is seen, and in a last line of JSON what is wrong; the test is the model meanwhile.
const {wrong, say, examine, fits, watch, perform} = require("./stage.js");

const [executablePath, base, link, pairing] = process.argv.slice(2);

// A link makes a key once: the phone's browser keeps it, and who comes second is told.
async function pair(browser, phone, desk) {
  const url = pairing.replace(/^http:\/\/[^/]+/, base);
  await phone.goto(url);
  await examine(phone, "pairing");
  await phone.fill("#name", "Anna's phone");
  await phone.click("#connect");
  await phone.waitForSelector("#done:not([hidden])");
  if (await phone.isVisible("#form")) wrong.push("the form stays when the phone is connected");
  await examine(phone, "paired");
  await fits(phone, "pairing");
  const thief = await (await browser.newContext()).newPage();
  await thief.goto(url);
  await thief.click("#connect");
  await thief.waitForSelector("#said.bad");
  if (!(await thief.textContent("#said")).includes("has been used")) wrong.push("a used link does not say so");
  await desk.waitForFunction(() => document.querySelector("#callers .body").textContent.includes("Annas-phone"));
  await desk.click("#phone");
  await desk.waitForSelector("#pair .qr:not([hidden])");
  await desk.keyboard.press("Escape");
  await desk.waitForSelector("#pair[open]", {state: "hidden"});
  say("paired");
}

// What a model wrote is text: nothing in it runs, and nothing is loaded for it.
async function hostile(phone) {
  const found = await phone.evaluate(() => ({
    ran: window.hacked,
    made: document.querySelectorAll("#log script, #log img, #log iframe, #log svg, #log form").length,
    links: [...document.querySelectorAll("#log a")].map((link) => link.protocol),
    nested: document.querySelectorAll("#log ol li ul li").length,
  }));
  if (found.ran || found.made) wrong.push(`a model's words act: ${JSON.stringify(found)}`);
  if (found.links.some((protocol) => !/^https?:$/.test(protocol))) wrong.push(`links lead to ${found.links}`);
  if (found.nested !== 2) wrong.push("a list in a list is not one");
}

// Of another origin nothing can be read or changed, whatever the browser sends along, in whatever way it asks.
async function outsider(context) {
  const page = await context.newPage();
  await page.route("http://elsewhere.example/**", (route) => route.fulfill({contentType: "text/html", body: "<p>elsewhere</p>"}));
  await page.goto("http://elsewhere.example/");
  const got = await page.evaluate(async (server) => {
    const chat = JSON.stringify({model: "m", messages: [{role: "user", content: "!reset"}], stream: false});
    const post = {method: "POST", body: "{}"}, sent = {...post, credentials: "include"};
    const tries = [
      ["/console", {}], ["/console/me", {}], ["/console/live", {credentials: "include"}], ["/console/trace", {credentials: "include"}], ["/console/reload", sent], ["/console/enter", post], ["/pair", post],
      ["/v1/models", {}], ["/v1/chat/completions", {method: "POST", body: chat}], ["/v1/chat/completions", {method: "POST", body: chat, headers: {"Content-Type": "application/json"}}], ["/api/chat", {method: "POST", body: chat}],
    ];
    const answers = [];
    for (const [path, how] of tries) answers.push(await fetch(server + path, how).then((answer) => answer.text(), () => "nothing"));
    // Without CORS a page may send, and only cannot read; what it sends has to come to nothing.
    await fetch(`${server}/v1/chat/completions`, {method: "POST", mode: "no-cors", body: chat}).catch(() => {});
    await fetch(`${server}/console/words`, {...sent, mode: "no-cors", body: '{"session_id": "stolen", "minutes": 5}'}).catch(() => {});
    const frame = document.createElement("iframe"), form = document.createElement("form");
    frame.name = "inside";
    document.body.append(frame, form);
    Object.assign(form, {method: "post", enctype: "text/plain", target: "inside", action: `${server}/v1/chat/completions`});
    form.append(Object.assign(document.createElement("input"), {name: chat.slice(0, -1), value: "}"}));
    form.submit();
    const picture = new Image();
    picture.src = `${server}/chat/icon.svg`;
    answers.push(await picture.decode().then(() => "a picture", () => "nothing"));
    return answers;
  }, base);
  if (got.some((each) => each !== "nothing")) wrong.push(`another origin gets ${got}`);
  await page.evaluate((server) => { document.querySelector("iframe").src = `${server}/console`; }, base);
  await page.waitForTimeout(300);
  for (const frame of page.frames().slice(1)) {
    if (await frame.evaluate(() => document.querySelector("#main, .gate") !== null).catch(() => false)) wrong.push("the console stands in a frame of elsewhere");
  }
  await page.close();
}

// The pages' files are open to the server's own names alone: one that was bent to its address gets nothing.
async function rebound(browser) {
  const page = await (await browser.newContext()).newPage();
  for (const path of ["/console", "/chat", "/v1/models"]) {
    const answer = await page.goto(base.replace("127.0.0.1", "rebound.test") + path);
    if (answer.status() !== 403) wrong.push(`under a bent name ${path} is ${answer.status()}`);
  }
  await page.context().close();
}

async function scene(browser) {
  const desk = await (await browser.newContext({viewport: {width: 1280, height: 900}})).newPage();
  watch(desk, "console", base);
  await desk.goto(link);
  await desk.waitForSelector("#link.good");
  const stranger = await (await browser.newContext()).newPage();
  await stranger.goto(link);
  await stranger.waitForSelector("#said.bad");
  say("came in");

  const phone = await (await browser.newContext({viewport: {width: 390, height: 844}, isMobile: true, hasTouch: true})).newPage();
  watch(phone, "chat", base);
  await pair(browser, phone, desk);
  await phone.goto(`${base}/chat`);
  await phone.fill("#text", "hello");
  await phone.click("#send");
  await desk.waitForSelector("#streams tbody tr");
  await phone.waitForFunction(() => document.querySelector("#log strong")?.textContent === "bold");
  say("stream seen");
  await phone.waitForSelector("#stop", {state: "hidden"});
  await hostile(phone);
  await desk.waitForSelector("#turns tbody tr");

  await phone.fill("#text", "write it down");
  await phone.click("#send");
  // By keyboard alone: the first button of the question is reached and pressed.
  await desk.waitForSelector("#questions:not([hidden]) button");
  await phone.waitForSelector(".leave button");
  await desk.focus("#questions button");
  await desk.keyboard.press("Enter");
  say("allowed");
  await phone.waitForFunction(() => document.querySelector("#log").textContent.includes("Written down."));
  await phone.waitForSelector("#stop", {state: "hidden"});
  if (await phone.$(".leave")) wrong.push("the buttons stay when the question is answered");

  // Stopped from the console, the phone's answer ends.
  await desk.waitForSelector("#streams tbody tr", {state: "detached"});
  await phone.fill("#text", "a long one");
  await phone.click("#send");
  // A finger may rest on the button while the page brings itself up to date.
  await desk.hover("#streams .danger");
  await desk.mouse.down();
  await desk.waitForTimeout(1200);
  await desk.mouse.up();
  await phone.waitForSelector("#stop", {state: "hidden"});
  say("stopped");

  await phone.fill("#text", "and now?");
  await phone.click("#send");
  await desk.waitForSelector("#models .badge.bad");
  say("failure seen");

  await desk.focus("#turns tbody button");
  await desk.keyboard.press("Enter");
  await desk.waitForSelector("#turn[open] .time svg");
  await desk.keyboard.press("Escape");
  await desk.waitForSelector("#turn[open]", {state: "hidden"});
  await examine(desk, "console");
  await examine(phone, "chat");
  await outsider(desk.context());
  await rebound(browser);
  if (await desk.$eval("#sessions", (section) => section.textContent.includes("stolen"))) wrong.push("another origin has changed something");
  await desk.fill("#sought", "127.0.0.1");
  await desk.keyboard.press("Enter");
  await desk.waitForSelector("#told:not(:empty)");
  await desk.fill("#sought", "no such session");
  await desk.waitForFunction(() => document.querySelector("#sessions .body").textContent.includes("None in memory"));
  await desk.fill("#sought", "");
  if ((await desk.$$("#hour svg")).length !== 5) wrong.push("charts of the last hour are missing");
  await phone.click("#commands");
  await phone.click("#sheet button");
  await phone.waitForFunction(() => document.querySelector("#log").textContent.includes("!whoami"));
  await phone.click("#open-side");
  await phone.click("#new");
  await phone.waitForFunction(() => document.querySelectorAll("#chats li").length === 1 && !document.querySelector("#hello").hidden);
  const manifest = await phone.evaluate(async () => (await fetch(document.querySelector("link[rel=manifest]").href)).json());
  if (manifest.display !== "standalone" || !manifest.icons.some((icon) => icon.sizes === "512x512")) wrong.push("it cannot be installed");
  await fits(phone, "chat");
  for (const width of [320, 390, 820]) {
    await desk.setViewportSize({width, height: 844});
    await fits(desk, `console at ${width}`);
  }
  // Whoever is out is told, and the link may be opened where the page is already.
  await desk.click("#leave");
  await desk.waitForFunction(() => document.querySelector("#said")?.textContent.includes("logged out"));
  await desk.goto(`${base}/console#wrong`);
  await desk.waitForFunction(() => document.querySelector("#said").textContent.includes("has been used"));
}

perform(scene, executablePath);
