// A site on which every text that comes from outside is hostile: names, versions, advisories, reasons, files, session logs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, sites, Visitor } from "./browser.mjs";
import { offered, places } from "./places.mjs";

const at = sites.hostile;
const all = { ...places(at), ...Object.fromEntries(Object.entries(offered).map(([name, [path]]) => [name, path])) };
let browser, visitor, decider;
before(async () => {
  browser = await launch(at);
  visitor = await (await Visitor.open(browser, at)).signIn("carol");
  decider = await (await Visitor.open(browser, at)).signIn("alice");
});
after(() => browser.close());

// Where foreign text must be seen, so that this test cannot pass for want of any.
const seen = ["today", "vulnerability", "vulnerability, assessed", "decision", "exceptions", "limits", "limits, proposed", "hosts", "host", "host, record", "record of a host",
  "record without a host", "inventory", "retirement", "groups", "order, closed", "host reconciled", "investigation", "act", "scan", "sources", "people", "changes"];

test("foreign text is text on every page", async () => {
  for (const [name, path] of Object.entries(all)) {
    const who = offered[name]?.[1] === "decide" ? decider : visitor;
    await who.go(path);
    const { elements, text } = await who.page.evaluate(() => ({ elements: document.querySelectorAll("[data-evil]").length, text: document.documentElement.textContent }));
    assert.equal(elements, 0, `${name} has an element made of foreign text`);
    if (seen.includes(name)) assert.ok(text.includes(at.mark), `${name} shows none of it`);
  }
  visitor.fine();
  decider.fine();
  await decider.close(); // keys go to the window in front
});

test("in the palette, too", async () => {
  await visitor.go("/");
  await visitor.page.keyboard.press("/");
  await visitor.page.keyboard.type("web-02");
  await visitor.page.locator("#hits a").first().waitFor();
  assert.equal(await visitor.page.locator("[data-evil]").count(), 0);
  await visitor.page.locator("#palette input").fill(at.mark);
  await visitor.page.waitForTimeout(400);
  assert.equal(await visitor.page.locator("[data-evil]").count(), 0);
  visitor.fine();
});

test("what a visitor types comes back as text", async () => {
  for (const path of ["/vulnerabilities?q=", "/hosts?q=", "/sources?q=", "/ledger?kind=", "/sign-in?again=yes&to="]) {
    await visitor.go(path + encodeURIComponent(`">${at.mark}`));
    assert.equal(await visitor.page.locator("[data-evil]").count(), 0, path);
  }
  visitor.fine();
});

test("a session log is text, and nothing to run", async () => {
  await visitor.go(`/changes/${at.story.closed}`);
  const link = await visitor.page.locator('#rollout a[href^="/facts/"]').first().getAttribute("href");
  const { type, disposition, sniff, text } = await visitor.page.evaluate(async (href) => {
    const answer = await fetch(href);
    return { type: answer.headers.get("Content-Type"), disposition: answer.headers.get("Content-Disposition"), sniff: answer.headers.get("X-Content-Type-Options"), text: await answer.text() };
  }, link);
  assert.match(text, /Setting up libssl3/);
  assert.ok(text.includes(at.mark));
  assert.match(type, /^(text\/plain|application\/octet-stream)/);
  assert.equal(sniff, "nosniff");
  assert.ok(type.startsWith("text/plain") || disposition.startsWith("attachment"), `${type} ${disposition}`);
});
