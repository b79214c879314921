"use strict";
// One scene in a real browser: the operator at the console, a phone at the chat page. It says on standard output when
// something is seen, and in a last line of JSON what is wrong; the test is the model meanwhile.
const {readFileSync} = require("node:fs");
const {chromium} = require("playwright-core");

const [base, link, pairing, executablePath] = process.argv.slice(2);
const wrong = [];
const say = (text) => process.stdout.write(`${text}\n`);

async function examine(page, name) {
  // Only here: the page's own policy lets no other script in.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", {expression: readFileSync(require.resolve("axe-core/axe.min.js"), "utf8")});
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({colorScheme});
    const {violations} = await page.evaluate(() => axe.run());
    for (const found of violations) {
      if (found.impact === "serious" || found.impact === "critical") wrong.push(`${name}, ${colorScheme}: ${found.id} at ${found.nodes[0].target}`);
    }
  }
}

async function fits(page, name) {
  const width = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (width > 0) wrong.push(`${name} is ${width} pixels too wide`);
}

function watch(page, name) {
  page.on("pageerror", (error) => wrong.push(`${name}: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(base) && !/^(data|blob):/.test(request.url())) wrong.push(`${name} asks ${request.url()}`);
  });
}

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

// Of another origin nothing can be read or changed, whatever the browser sends along.
async function outsider(context) {
  const page = await context.newPage();
  await page.route("http://elsewhere.example/**", (route) => route.fulfill({contentType: "text/html", body: "<p>elsewhere</p>"}));
  await page.goto("http://elsewhere.example/");
  const got = await page.evaluate(async (server) => {
    const tries = [["/console/me", {}], ["/console/trace", {credentials: "include"}], ["/console/reload", {method: "POST", credentials: "include", body: "{}"}], ["/pair", {method: "POST", body: "{}"}]];
    const answers = [];
    for (const [path, how] of tries) answers.push(await fetch(server + path, how).then((answer) => answer.text(), () => "nothing"));
    return answers;
  }, base);
  if (got.some((each) => each !== "nothing")) wrong.push(`another origin gets ${got}`);
  await page.close();
}

async function scene(browser) {
  const desk = await (await browser.newContext({viewport: {width: 1280, height: 900}})).newPage();
  watch(desk, "console");
  await desk.goto(link);
  await desk.waitForSelector("#link.good");
  const stranger = await (await browser.newContext()).newPage();
  await stranger.goto(link);
  await stranger.waitForSelector("#said.bad");
  say("came in");

  const phone = await (await browser.newContext({viewport: {width: 390, height: 844}, isMobile: true, hasTouch: true})).newPage();
  watch(phone, "chat");
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
  await phone.fill("#text", "a long one");
  await phone.click("#send");
  await desk.waitForSelector("#streams .danger");
  await desk.focus("#streams .danger");
  await desk.keyboard.press("Enter");
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
  if ((await desk.$$("#hour svg")).length !== 5) wrong.push("charts of the last hour are missing");
  await phone.click("#commands");
  await phone.click("#sheet button");
  await phone.waitForFunction(() => document.querySelector("#log").textContent.includes("!whoami"));
  await phone.click("#open-side");
  await phone.click("#new");
  await phone.waitForFunction(() => document.querySelectorAll("#chats li").length === 1 && !document.querySelector("#hello").hidden);
  const manifest = await phone.evaluate(async () => (await fetch(document.querySelector("link[rel=manifest]").href)).json());
  if (manifest.display !== "standalone" || !manifest.icons.some((icon) => icon.sizes === "512x512")) wrong.push("it cannot be installed");
  await desk.setViewportSize({width: 390, height: 844});
  await fits(desk, "console");
  await fits(phone, "chat");
}

(async () => {
  const args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const browser = await chromium.launch({executablePath, args});
  try {
    await scene(browser);
  } catch (error) {
    wrong.push(String(error));
  } finally {
    await browser.close();
  }
  say(JSON.stringify({wrong}));
})();
