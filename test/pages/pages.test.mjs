// What holds on every page: it is there, it is accessible in both themes, it keeps to the policy, it is small, it says both numbers.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cli, launch, site, Visitor } from "./browser.mjs";
import { forgotten, offered, places } from "./places.mjs";

let browser, carol, alice, numbers;
const all = { ...places(), ...Object.fromEntries(Object.entries(offered).map(([name, [path]]) => [name, path])) };

before(async () => {
  browser = await launch();
  carol = await (await Visitor.open(browser)).signIn("carol"); // sees every page but those of who decides
  alice = await (await Visitor.open(browser)).signIn("alice");
  const { stdout } = await cli("frank", "vulnerability", "list"); // both numbers, said by somebody else
  numbers = stdout.match(/(?<findings>\d+) findings on \d+ hosts are (?<vulnerabilities>\d+) distinct/).groups;
});
after(() => browser.close());

test("no page is forgotten here", () => {
  assert.deepEqual(forgotten(site.routes, Object.values(all)), []);
  assert.deepEqual(forgotten([...site.routes, { method: "GET", path: "/a-new-page/{id}" }], Object.values(all)), ["/a-new-page/{id}"]);
});

test("the sign-in page is accessible, and its SSH way", async () => {
  const nobody = await Visitor.open(browser);
  for (const colorScheme of ["light", "dark"]) {
    await nobody.page.emulateMedia({ colorScheme });
    await nobody.go("/sign-in");
    assert.deepEqual(await nobody.axe(), []);
    await nobody.page.getByLabel("Your ID").fill("alice");
    await nobody.page.getByRole("button", { name: "Sign in with an SSH key" }).click();
    await nobody.page.getByLabel("Paste what it prints").waitFor();
    assert.deepEqual(await nobody.axe(), []);
  }
  nobody.fine();
  await nobody.close();
});

for (const [name, path] of Object.entries(all)) {
  test(`${name}: ${path.replace(/[0-9a-f]{64}|(?<=_)[0-9a-z]{20,}/g, "…")}`, async () => {
    const visitor = offered[name]?.[1] === "decide" ? alice : carol;
    await visitor.page.emulateMedia({ colorScheme: "light" });
    const files = [];
    const add = (answer) => files.push(answer.body());
    visitor.page.on("response", add);
    await visitor.go(path);
    visitor.page.off("response", add);
    const weight = (await Promise.all(files)).reduce((sum, file) => sum + file.length, 0);
    assert.ok(files.length > 3 && weight < 150_000, `${weight} bytes in ${files.length} files`);

    assert.equal(await visitor.page.locator(".top .both").getAttribute("aria-label"), `${numbers.findings} findings, ${numbers.vulnerabilities} vulnerabilities`);

    for (const colorScheme of ["light", "dark"]) {
      await visitor.page.emulateMedia({ colorScheme });
      assert.deepEqual(await visitor.axe(), [], colorScheme);
    }
    const dialogs = await visitor.page.locator("main [data-open]").evaluateAll((all) => [...new Set(all.map((b) => b.dataset.open.replace(/-.*/, "")))]);
    for (const id of dialogs) {
      await visitor.page.locator(`main [data-open^="${id}"]`).first().click();
      assert.deepEqual(await visitor.axe("dialog[open]"), [], `dialog ${id}`);
      await visitor.page.keyboard.press("Escape");
    }
    visitor.fine();
  });
}

test("no page scrolls sideways on a phone", async () => {
  for (const visitor of [alice, carol]) await visitor.page.setViewportSize({ width: 390, height: 844 });
  for (const [name, path] of Object.entries(all)) {
    const visitor = offered[name]?.[1] === "decide" ? alice : carol;
    await visitor.go(path);
    assert.deepEqual(await visitor.sticksOut(), [], name);
    const top = await visitor.page.locator(".side").boundingBox();
    assert.ok(top.height < 200, `${name}: the head of the page takes ${top.height} pixels`);
  }
  for (const visitor of [alice, carol]) await visitor.page.setViewportSize({ width: 1280, height: 800 });
});

test("paper shows what a page says, dark on white, and nothing to click", async () => {
  for (const [name, path] of Object.entries(all)) {
    const { page } = offered[name]?.[1] === "decide" ? alice : carol;
    await page.goto(path);
    await page.evaluate(() => { document.documentElement.dataset.theme = "dark"; });
    await page.emulateMedia({ media: "print" });
    const shown = await page.evaluate(() => [...document.querySelectorAll("nav, .side, .search, .tabs, .pager, button, .button, dialog")].filter((e) => e.checkVisibility()).map((e) => `${e.tagName} ${e.className}`));
    assert.deepEqual(shown, [], name);
    assert.ok(await page.locator(".both").isVisible(), `${name}: both numbers`);
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector("h1")).color), "rgb(24, 33, 42)", name);
    await page.emulateMedia({ media: "screen" });
  }
});
