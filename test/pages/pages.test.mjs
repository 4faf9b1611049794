// What holds on every page: it is there, it is accessible in both themes, it keeps to the policy, it is small.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cli, launch, Visitor } from "./browser.mjs";
import { offered, places } from "./places.mjs";

let browser, carol;
const all = { ...places(), ...Object.fromEntries(Object.entries(offered).map(([name, [path]]) => [name, path])) };

before(async () => {
  browser = await launch();
  carol = await (await Visitor.open(browser)).signIn("carol"); // sees every page
});
after(() => browser.close());

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
    for (const colorScheme of ["light", "dark"]) {
      await carol.page.emulateMedia({ colorScheme });
      await carol.go(path);
      assert.deepEqual(await carol.axe(), [], colorScheme);
    }
    await carol.page.emulateMedia({ colorScheme: "light" });
    const buttons = await carol.page.locator("main [data-open]").evaluateAll((all) => [...new Set(all.map((b) => b.dataset.open))]);
    for (const id of buttons) {
      await carol.page.locator(`main [data-open="${id}"]`).first().click();
      assert.deepEqual(await carol.axe(`#${id}`), [], `dialog ${id}`);
      await carol.page.keyboard.press("Escape");
    }
    carol.fine();
  });
}

test("every page weighs less than 150 KB with all it loads", async () => {
  const visitor = await Visitor.open(browser);
  await visitor.signIn("carol");
  for (const [name, path] of Object.entries(all)) {
    let weight = 0;
    const files = [];
    const add = (answer) => { files.push(answer.body().then((b) => { weight += b.length; }).catch(() => {})); };
    visitor.page.on("response", add);
    await visitor.go(path);
    await visitor.page.waitForLoadState("networkidle");
    await Promise.all(files);
    visitor.page.off("response", add);
    assert.ok(weight > 1000 && weight < 150_000, `${name}: ${weight} bytes`);
  }
  await visitor.close();
});

test("both numbers stand on every page", async () => {
  await carol.go("/");
  const numbers = await carol.page.locator(".top .both").getAttribute("aria-label");
  assert.match(numbers, /^[1-9]\d* findings, [1-9]\d* vulnerabilities$/);
  for (const [name, path] of Object.entries(all)) {
    await carol.go(path);
    assert.equal(await carol.page.locator(".top .both").getAttribute("aria-label"), numbers, name);
  }
  const { stdout } = await cli("frank", "vulnerability", "list");
  const [, findings, vulnerabilities] = stdout.match(/(\d+) findings on \d+ hosts are (\d+) distinct/);
  assert.equal(numbers, `${findings} findings, ${vulnerabilities} vulnerabilities`);
});
