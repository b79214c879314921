"use strict";
// One scene in a real browser: the operator at the console, a phone at the chat page. It says on standard output when
// something is seen, and in a last line of JSON what is wrong; the test is the model meanwhile.
const {readFileSync} = require("node:fs");
const {chromium} = require("playwright-core");

const [base, link, executablePath] = process.argv.slice(2);
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
  await phone.goto(`${base}/chat`);
  await phone.fill("#text", "hello");
  await phone.click("#send");
  await desk.waitForSelector("#streams tbody tr");
  await phone.waitForFunction(() => document.querySelector("#log strong")?.textContent === "bold");
  say("stream seen");
  await phone.waitForSelector("#stop", {state: "hidden"});
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
