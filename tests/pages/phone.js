"use strict";
// One scene in a real browser: a phone at the chat page, whose line breaks. `cable` leads to the same server, and the test
// pulls it. See operator.js.
const cases = require("./markdown.js");
const {say, check, examine, fits, watch, perform} = require("./stage.js");

const [executablePath, base, cable] = process.argv.slice(2);
const messages = (page) => page.$$eval("#log > li", (items) => items.map((item) => (item.querySelector(".md") || item).textContent));
const ended = (page) => page.waitForSelector("#stop", {state: "hidden"});

async function send(page, text) {
  await page.fill("#text", text);
  await page.click("#send");
}

// Without what all elements of a kind have.
async function marksUp(page) {
  const made = await page.evaluate((texts) => texts.map((text) => markdown(text).innerHTML.replace(/ (?:dir|tabindex|target|rel|title)="[^"]*"/g, "")), cases.map(([text]) => text));
  cases.forEach(([text, html], index) => check(made[index] === html, `${JSON.stringify(text)} becomes ${made[index]}`));
}

// What has the focus, and what is selected, outlives that a list is brought up to date.
async function staysInPlace(page) {
  const found = await page.evaluate(() => {
    const item = (key, ...words) => make("li", {"data-key": key}, ...words);
    const list = document.body.appendChild(make("ul", {}, item("gone", "x"), item("a", make("button", {}, "a")), item("b", "one")));
    const button = list.querySelector("button"), words = list.lastChild.firstChild;
    button.focus();
    getSelection().setBaseAndExtent(words, 0, words, 3);
    fill(list, [item("new", "c"), item("a", make("button", {}, "a")), item("b", "one two")]);
    const seen = [list.textContent, document.activeElement === button, String(getSelection())];
    list.remove();
    return seen.join();
  });
  check(found === "caone two,true,one", `a list that is brought up to date has ${found}`);
}

async function stops(page) {
  await send(page, "a long story");
  await page.waitForFunction(() => document.querySelector("#log .md")?.textContent.includes("Once"));
  await send(page, "too early").catch(() => {});
  await page.keyboard.press("Escape");
  await ended(page);
  say("stopped");
  check((await page.textContent("#log .note")) === "You stopped it.", "a stopped answer does not say so");
  await page.fill("#text", "");
}

// What was on its way when the line broke, the page was loaded anew or another server came is there once, and whole.
async function loses(page) {
  await send(page, "before the cut");
  await page.waitForFunction(() => document.querySelector("#log").textContent.includes("first half"));
  say("cut");
  await ended(page);
  await send(page, "before the reload");
  await page.waitForFunction(() => document.querySelector("#log").textContent.includes("another half"));
  await page.reload();
  say("loaded anew");
  await page.waitForFunction(() => document.querySelector("#log").textContent.includes("another whole"));
  await ended(page);
  // The page sleeps for a minute, and cannot know whether the line still is one: it looks, and the turn goes on.
  await send(page, "before the sleep");
  await page.waitForFunction(() => document.querySelector("#log").textContent.includes("drowsy"));
  const second = page.waitForRequest((request) => request.headers()["x-stainless-retry-count"] === "1");
  await page.evaluate(() => { const now = performance.now.bind(performance); performance.now = () => now() + 60000; dispatchEvent(new Event("online")); });
  const joined = await (await second).response();
  check(joined.ok(), "the turn that goes on is not joined");
  say("slept");
  await ended(page);
  const said = (await messages(page)).slice(2);
  check(said.join("|") === "before the cut|whole|before the reload|another whole|before the sleep|drowsy, awake", `after breaks the chat says ${said}`);
}

async function shows(page) {
  await page.setInputFiles("#file", [{name: "photo.HEIC", mimeType: "image/heic", buffer: Buffer.from("none")}]);
  await page.waitForFunction(() => document.querySelector("#state").textContent.includes("HEIC"));
  const shot = await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 4000, height: 3000});
    canvas.getContext("2d").fillRect(0, 0, 4000, 3000);
    return (await new Promise((done) => canvas.toBlob((blob) => blob.arrayBuffer().then(done), "image/jpeg"))).byteLength && canvas.toDataURL("image/jpeg").split(",")[1];
  });
  await page.setInputFiles("#file", [{name: "photo.jpg", mimeType: "image/jpeg", buffer: Buffer.from(shot, "base64")}]);
  await page.waitForSelector("#pictures img");
  // A small picture with nothing in its corner, pasted and dropped.
  await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 20, height: 20});
    const file = new File([await new Promise((done) => canvas.toBlob(done))], "small.png", {type: "image/png"});
    const data = () => { const held = new DataTransfer(); held.items.add(file); return held; };
    const how = {bubbles: true, cancelable: true};
    document.querySelector("#text").dispatchEvent(new ClipboardEvent("paste", {clipboardData: data(), ...how}));
    document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data(), ...how}));
  });
  await page.waitForFunction(() => document.querySelectorAll("#pictures img").length === 3);
  const asked = page.waitForRequest("**/v1/chat/completions");
  await send(page, "what is this?");
  const parts = JSON.parse((await asked).postData()).messages.pop().content;
  const sizes = await page.evaluate((urls) => Promise.all(urls.map(async (src) => { const image = Object.assign(new Image(), {src}); await image.decode(); return `${image.naturalWidth}x${image.naturalHeight}`; })), parts.slice(1).map((part) => part.image_url.url));
  check(sizes.join() === "1568x1176,20x20,20x20", `pictures are sent as ${sizes}`);
  say("pictures sent");
  await ended(page);
}

async function keeps(page) {
  await page.click("#open-side");
  await examine(page, "list of chats");
  await page.click('#chats [aria-label^="Rename"]');
  await page.keyboard.type("رحلة");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  await page.click("#open-side");
  await page.click('#chats [aria-label^="Delete"]');
  await page.keyboard.press("Escape");
  check((await messages(page)).length === 0, "a deleted chat stays on the page");
  await page.click("#state button");
  await page.reload();
  await page.waitForSelector("#log li");
  check(await page.textContent("#title") === "رحلة", "the chat's name is lost");
  const other = await page.context().newPage();
  await other.goto(`${base}/chat`);
  await send(other, "!whoami");
  await ended(other);
  await other.close();
  await page.waitForFunction(() => document.querySelector("#log").textContent.includes("!whoami"));
  // Of a long chat only the end is drawn, until more is asked for.
  await page.evaluate(() => {
    const chat = newChat();
    for (let index = 0; index < 1000; index += 1) chat.messages.push({role: index % 2 ? "assistant" : "user", text: `**${index}**`});
    keepChat({...chat, title: "long", at: Date.now() + 1000}, []);
  });
  await page.reload();
  await page.waitForFunction(() => document.querySelector("#log").textContent.includes("999"));
  const drawn = (await messages(page)).length;
  await page.click("#earlier");
  check(drawn < 100 && (await messages(page)).length > drawn, `of a long chat ${drawn} messages are drawn`);
}

async function scene(browser) {
  const context = await browser.newContext({viewport: {width: 360, height: 740}, isMobile: true, hasTouch: true});
  const page = await context.newPage();
  watch(page, "chat", base);
  await page.goto(`${base}/chat`);
  await marksUp(page);
  await staysInPlace(page);
  await stops(page);
  await shows(page);
  await keeps(page);
  for (const width of [320, 820]) {
    await page.setViewportSize({width, height: 740});
    await fits(page, `chat at ${width}`);
  }
  await page.click("#commands");
  await examine(page, "commands");
  const wire = await (await browser.newContext()).newPage();
  watch(wire, "cut", cable);
  await wire.goto(`${cable}/chat`);
  await send(wire, "!whoami");
  await ended(wire);
  await loses(wire);
}

perform(scene, executablePath);
