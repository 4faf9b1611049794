// Keyboard and paper: everything is reached without a mouse, and what is printed is the matter alone.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { launch, site, Visitor } from "./browser.mjs";

let browser, visitor, page;
before(async () => {
  browser = await launch();
  visitor = await (await Visitor.open(browser)).signIn("carol");
  page = visitor.page;
});
after(() => browser.close());
beforeEach(() => visitor.go("/"));

const focused = () => page.evaluate(() => document.activeElement.closest("a")?.getAttribute("href"));

test("Ctrl-K and / open the palette, which finds and goes by keys alone", async () => {
  for (const key of ["Control+k", "/"]) {
    await visitor.go("/");
    await page.keyboard.press(key);
    await page.locator("#palette[open]").waitFor();
    await page.keyboard.type("web-02");
    await page.locator("#hits a", { hasText: "web-02" }).first().waitFor();
    await page.keyboard.press("ArrowDown");
    assert.equal(await focused(), `/hosts/${site.hosts["web-02"]}`);
    await page.keyboard.press("Enter");
    await page.waitForURL(`**/hosts/${site.hosts["web-02"]}`);
  }
  for (const [words, path] of [["CVE-2026-33019", "/vulnerabilities/CVE-2026-33019/curl"], [site.story.waiting, `/changes/${site.story.waiting}`]]) {
    await visitor.go("/");
    await page.keyboard.press("/");
    await page.keyboard.type(words);
    await page.locator(`#hits a[href="${path}"]`).waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(`**${path}`);
  }
  visitor.fine();
});

test("Escape closes the palette and gives the focus back", async () => {
  await page.keyboard.press("/");
  await page.locator("#palette[open]").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("dialog[open]").count(), 0);
});

test("g and a letter goes to each section", async () => {
  const sections = await page.locator("nav [data-key]").evaluateAll((all) => all.map((a) => [a.dataset.key, a.getAttribute("href")]));
  assert.equal(new Set(sections.map(([key]) => key)).size, sections.length);
  for (const [key, path] of sections.reverse()) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await page.waitForURL((url) => url.pathname === path);
  }
});

test("j and k walk the rows, Enter opens one", async () => {
  await visitor.go("/vulnerabilities");
  const rows = await page.locator("tr[data-row]").evaluateAll((all) => all.map((r) => r.querySelector("a").getAttribute("href")));
  for (const [key, row] of [["j", 0], ["j", 1], ["j", 2], ["k", 1]]) {
    await page.keyboard.press(key);
    assert.equal(await focused(), rows[row]);
  }
  await page.keyboard.press("Enter");
  await page.waitForURL(`**${rows[1]}`);
});

test("what Space ticks in the list is what the form is about", async () => {
  const decider = await (await Visitor.open(browser)).signIn("alice");
  const { page } = decider;
  await page.setViewportSize({ width: 390, height: 844 });
  await decider.go("/vulnerabilities");
  assert.deepEqual(await decider.axe(), []);
  assert.deepEqual(await decider.sticksOut(), []);
  const boxes = page.locator('input[name="vulnerability"]');
  const names = await boxes.evaluateAll((all) => all.map((b) => b.value));
  await page.locator('input[data-all="vulnerability"]').focus();
  await page.keyboard.press("Space");
  assert.equal(await boxes.evaluateAll((all) => all.every((b) => b.checked)), true);
  await boxes.first().focus();
  await page.keyboard.press("Space");
  await page.getByRole("button", { name: "Decide these" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.pathname === "/decisions/new");
  const chosen = await page.locator('form input[name="vulnerability"]').evaluateAll((all) => all.map((i) => i.value));
  assert.deepEqual(chosen.sort(), names.slice(1).sort());
  decider.fine();
  await decider.close();
});

test("letters typed into a field stay there", async () => {
  await visitor.go("/vulnerabilities");
  await page.locator("#q").fill("");
  await page.locator("#q").pressSequentially("ghj/?");
  assert.equal(await page.locator("#q").inputValue(), "ghj/?");
  assert.equal(await page.locator("dialog[open]").count(), 0);
  assert.equal(new URL(page.url()).pathname, "/vulnerabilities");
});

test("the first Tab leads to the content", async () => {
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "#main");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
});

test("a list narrows while one types, and its address keeps the search", async () => {
  await visitor.go("/vulnerabilities");
  await page.locator("#q").pressSequentially("nginx");
  await page.waitForURL(/q=nginx/);
  await page.waitForFunction(() => document.querySelectorAll("tr[data-row]").length === 1);
  await page.locator("tr[data-row] a").first().click();
  await page.waitForURL("**/CVE-2026-29550/nginx");
  await page.goBack();
  await page.waitForURL(/q=nginx/);
  assert.equal(await page.locator("tr[data-row]").count(), 1);
  visitor.fine();
});

test("the theme is chosen, kept, and given back to the system", async () => {
  await page.emulateMedia({ colorScheme: "light" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole("button", { name: "Dark", exact: true }).click();
  await page.waitForSelector('html[data-theme="dark"]');
  const dark = await ground();
  assert.notEqual(dark, light);
  await visitor.go("/changes/new?kind=stage");
  assert.equal(await ground(), dark);
  await page.locator("main [name=reason]").fill("half typed");
  await page.getByRole("button", { name: "Light", exact: true }).click();
  await page.waitForSelector('html[data-theme="light"]');
  await page.emulateMedia({ colorScheme: "dark" });
  assert.equal(await ground(), light);
  await page.getByRole("button", { name: "System" }).click();
  await page.waitForSelector("html:not([data-theme])");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Dark", "the keyboard is still at the button");
  assert.equal(await page.locator("main [name=reason]").inputValue(), "half typed");
  assert.equal(await ground(), dark);
  await page.emulateMedia({ colorScheme: "light" });
});

test("a double click sends a form once", async () => {
  await visitor.go("/hosts/groups");
  let sent = 0;
  await page.route("**/hosts/groups", async (route) => { // a server that takes its time
    sent += route.request().method() === "POST";
    await new Promise((on) => { setTimeout(on, 300); });
    await route.continue().catch(() => {});
  });
  await page.getByRole("button", { name: "New group" }).click();
  await page.locator("#new [name=name]").fill("twice");
  await page.locator("#new [name=expression]").fill("recorded");
  await page.locator("#new button.main").evaluate((save) => {
    save.click();
    setTimeout(() => save.click(), 100);
  });
  await page.waitForURL(/said=recorded/);
  assert.equal(sent, 1);
  await page.unroute("**/hosts/groups");
  await page.locator("tr", { hasText: "twice" }).getByRole("button", { name: "Drop" }).click();
  await page.waitForURL(/said=over/);
  visitor.fine();
});

test("on paper there is the matter alone, dark on white", async () => {
  await page.setViewportSize({ width: 680, height: 960 }); // A4 with margins of 15 mm
  for (const path of ["/vulnerabilities", `/changes/${site.story.closed}`, `/investigations/${site.story.investigation}`]) {
    await visitor.go(path);
    await page.emulateMedia({ media: "print", colorScheme: "dark" });
    for (const hidden of [".side", ".search", ".check", "button", ".filters", "dialog"]) {
      assert.deepEqual(await page.locator(hidden).evaluateAll((all) => all.filter((e) => e.checkVisibility()).length), 0, `${path}: ${hidden}`);
    }
    assert.ok(await page.locator("main h1").isVisible());
    const [ink, paper] = await page.evaluate(() => [getComputedStyle(document.querySelector("h1")).color, getComputedStyle(document.body).backgroundColor]);
    assert.equal(paper, "rgb(255, 255, 255)");
    assert.ok(ink.match(/\d+/g).slice(0, 3).every((n) => n < 64), ink);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${path} is ${wide} px wider than the paper`);
  }
  await page.emulateMedia({ media: "screen", colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 800 });
});

test("nothing is wider than the window, from 1280 to 768 px", async () => {
  for (const width of [1280, 1024, 768]) {
    await page.setViewportSize({ width, height: 800 });
    for (const path of ["/", "/vulnerabilities", "/hosts", "/changes", `/changes/${site.story.investigated}`, "/people", "/sources"]) {
      await visitor.go(path);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${path} at ${width}: ${over} px too wide`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
});
