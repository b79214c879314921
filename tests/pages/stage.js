"use strict";
// What the scenes share: a browser, and a list of what is wrong, which is the last line that a scene says.
const {readFileSync} = require("node:fs");
const {chromium} = require("playwright-core");

const wrong = [];
const say = (text) => process.stdout.write(`${text}\n`);
const check = (holds, words) => { if (!holds) wrong.push(words); };

async function examine(page, name) {
  // Only here: the page's own policy lets no other script in.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", {expression: readFileSync(require.resolve("axe-core/axe.min.js"), "utf8")});
  // In the dark only the colours are others.
  for (const [colorScheme, how] of [["light", {}], ["dark", {runOnly: ["color-contrast"]}]]) {
    await page.emulateMedia({colorScheme});
    const {violations} = await page.evaluate((options) => axe.run(options), how);
    for (const found of violations) {
      if (found.impact === "serious" || found.impact === "critical") wrong.push(`${name}, ${colorScheme}: ${found.id} at ${found.nodes[0].target}`);
    }
  }
}

async function fits(page, name) {
  const width = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(width <= 0, `${name} is ${width} pixels too wide`);
}

function watch(page, name, base) {
  page.on("pageerror", (error) => wrong.push(`${name}: ${error.message}`));
  page.on("request", (request) => check(request.url().startsWith(base) || /^(data|blob):/.test(request.url()), `${name} asks ${request.url()}`));
}

// Plays a scene in the browser at that path.
async function perform(scene, executablePath) {
  const args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP rebound.test 127.0.0.1"];
  const browser = await chromium.launch({executablePath, args});
  try {
    await scene(browser);
  } catch (error) {
    wrong.push(String(error));
    console.error(wrong);
  } finally {
    await browser.close();
  }
  say(JSON.stringify({wrong}));
}

module.exports = {wrong, say, check, examine, fits, watch, perform};
