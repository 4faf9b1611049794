// Reports and saved views: charts with their tables, a filter with a name, one's own and shared.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, Visitor } from "./browser.mjs";

let browser, alice, frank;
before(async () => {
  browser = await launch();
  alice = await (await Visitor.open(browser)).signIn("alice");
  frank = await (await Visitor.open(browser)).signIn("frank");
});
after(() => browser.close());

test("every chart has a name, a description and a table with the same labels, which keys open", async () => {
  await frank.go("/reports");
  const charts = frank.page.locator("figure.chart");
  assert.ok((await charts.count()) >= 5);
  for (const chart of await charts.all()) {
    const image = chart.getByRole("img");
    assert.ok((await image.getAttribute("aria-labelledby")).split(" ").length === 2);
    for (const id of (await image.getAttribute("aria-labelledby")).split(" ")) assert.ok((await frank.page.locator(`#${id}`).textContent()).length > 3, id);
    await chart.locator("summary").focus();
    await frank.page.keyboard.press("Enter");
    await chart.getByRole("table").waitFor();
    assert.ok((await chart.locator("tbody tr").count()) > 0);
  }
  for (const colorScheme of ["light", "dark"]) {
    await frank.page.emulateMedia({ colorScheme });
    assert.deepEqual(await frank.axe(), [], colorScheme);
  }
  frank.fine();
});

test("on paper the tables are open", async () => {
  await frank.go("/reports");
  await frank.page.emulateMedia({ media: "print" });
  assert.ok(await frank.page.locator("figure.chart table").first().isVisible());
  await frank.page.emulateMedia({ media: "screen" });
});

test("a view is saved, shown as a tab to its owner alone, shared, and dropped", async () => {
  const save = async (name, shared) => {
    await alice.go("/vulnerabilities?decision=none&state=affected");
    await alice.page.getByRole("button", { name: "Save this view" }).click();
    await alice.page.getByLabel("Name").fill(name);
    if (shared) await alice.page.getByLabel("Share with all").check();
    await alice.page.getByRole("button", { name: "Save", exact: true }).click();
    await alice.page.getByRole("link", { name, exact: false }).and(alice.page.locator('[aria-current="page"]')).waitFor();
  };
  const drop = async () => {
    await alice.page.getByRole("button", { name: "Drop this view" }).click();
    await alice.page.waitForURL("**/vulnerabilities");
  };
  const tabs = (visitor) => visitor.page.locator('nav[aria-label="Saved views"] a').allTextContents();
  await save("Mine to decide", false);
  for (const colorScheme of ["light", "dark"]) {
    await alice.page.emulateMedia({ colorScheme });
    assert.deepEqual(await alice.axe(), [], colorScheme);
  }
  await frank.go("/vulnerabilities");
  assert.ok(!(await tabs(frank)).some((t) => t.includes("Mine to decide")));
  await drop();
  await save("For all to decide", true);
  await frank.go("/vulnerabilities");
  await frank.page.getByRole("link", { name: "For all to decide" }).click();
  await frank.page.waitForURL("**/vulnerabilities?decision=none&state=affected");
  assert.equal(await frank.page.getByRole("button", { name: "Drop this view" }).count(), 0);
  await drop();
  alice.fine();
  frank.fine();
});
