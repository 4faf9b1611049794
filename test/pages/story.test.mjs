// A change from review to evidence, done in the browser by the people whose work it is. What stands here happens in this order, and after
// all other files but work.test.mjs (node takes them by name): they look at the site as it was before.

import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { cli, launch, site, until, Visitor } from "./browser.mjs";

const { story } = site;
let browser;
const people = {};
const as = async (id) => (people[id] ??= await (await Visitor.open(browser)).signIn(id));

before(async () => { browser = await launch(); });
after(() => browser.close());

const digest = (page) => page.locator(".full code").first().textContent();
const said = (page) => page.getByRole("status").textContent();
const badge = (page) => page.locator(".head h1 .badge").textContent();

test("advisories are reviewed many at once", async () => {
  const { page } = await as("alice");
  await people.alice.go("/sources");
  const waiting = async () => Number((await page.locator("#queue .none").textContent()).match(/\d+/)[0]);
  const before = await waiting();
  const boxes = page.locator('input[name="advisory"]');
  const [first, second] = [await boxes.nth(0).inputValue(), await boxes.nth(1).inputValue()];
  await boxes.nth(0).check();
  await boxes.nth(1).check();
  await page.getByLabel("Reason").fill("Not exposed: no service of ours uses it");
  await page.getByRole("button", { name: "Not relevant" }).click();
  assert.match(await said(page), /off the queue/);
  assert.equal(await waiting(), before - 2);
  for (const gone of [first, second]) assert.equal(await page.locator(`input[value="${gone}"]`).count(), 0);
  await page.locator("input[data-all]").check();
  assert.equal(await boxes.evaluateAll((all) => all.every((b) => b.checked)), true);
  await page.getByLabel("Reason").fill("Installed here; to be decided");
  await page.getByRole("button", { name: "Relevant", exact: true }).click();
  assert.ok(await waiting() < before - 2);
});

test("a decision is signed with a passkey, and stands in the ledger", async () => {
  const { page } = await as("alice");
  await people.alice.go("/vulnerabilities/CVE-2026-26101/glibc");
  await page.locator('[data-open="decide"]').click();
  assert.equal(await page.locator('input[value="accept"]').isDisabled(), true, "no source knows a fix");
  await page.getByLabel("Defer: decide again by a date").check();
  await page.locator("#until").fill(new Date(Date.now() + 7 * 86400e3).toISOString().slice(0, 10));
  await page.locator("#reason").fill("The resolver is ours, and answers are short.\nAgain when a fix is there.");
  await page.getByRole("button", { name: "Review what I sign" }).click();
  assert.match(await digest(page), /^[0-9a-f]{64}$/);
  assert.match(await page.locator("details pre").textContent(), /The resolver is ours/);
  assert.deepEqual(await people.alice.axe(), []);
  await page.getByRole("button", { name: "Decide with a passkey" }).click();
  assert.match(await said(page), /in force/);
  assert.match(await page.locator(".facts").textContent(), /defer/);
  assert.match((await cli("frank", "vulnerability", "show", "CVE-2026-26101/glibc")).stdout, /defer/);
  people.alice.fine();
});

test("a curation record needs the command line beside the passkey", async () => {
  const { page } = await as("alice");
  const path = `/repository/snapshots/${story.records[2]}`;
  await people.alice.go(path);
  assert.equal(await digest(page), story.records[2]);
  await page.getByRole("button", { name: "Sign with a passkey" }).click();
  assert.match(await said(page), /counted/);
  assert.equal(await badge(page), "not signed");
  const signed = await cli("carol", "snapshot", "sign", story.records[2], "--digest", await digest(page));
  assert.match(signed.stdout, /is in force/, signed.stderr);
  await people.alice.go(path);
  assert.equal(await badge(page), "signed");
});

test("the page shows the digest that the command line prints", async () => {
  const { page } = await as("alice");
  await people.alice.go(`/changes/${story.waiting}`);
  const shown = await cli("frank", "order", "show", story.waiting, "--json");
  assert.equal(await digest(page), JSON.parse(shown.stdout).sha256);
  const text = await page.evaluate(async (path) => (await fetch(path)).text(), `/changes/${story.waiting}/order.txt`);
  const asked = await cli("carol", "approve", story.waiting, "--digest", "0".repeat(64)); // shows the order, and refuses
  assert.notEqual(asked.code, 0);
  assert.match(asked.stderr, /nothing was signed/);
  for (const line of text.split("\n").filter((l) => l.trim())) assert.ok(asked.stderr.includes(line), `the command line does not show: ${line}`);
});

test("a page that shows one order and has another signed gets nothing", async () => {
  const rita = await as("rita");
  await rita.go(`/changes/${story.waiting}`);
  await rita.page.evaluate(() => { document.querySelector("form[data-passkey]").dataset.challenge = "A".repeat(43); });
  await rita.page.getByRole("button", { name: "Approve with a passkey" }).click();
  await rita.page.locator("h1", { hasText: /leave|cannot/i }).waitFor();
  await rita.go(`/changes/${story.waiting}`);
  assert.equal(await rita.page.locator("#approvals table").count(), 0);
});

test("passkeys of two people are not enough; with the command line the order is warranted", async () => {
  const path = `/changes/${story.waiting}`;
  for (const id of ["alice", "dave"]) {
    const { page } = await as(id);
    await people[id].go(path);
    await page.getByRole("button", { name: "Approve with a passkey" }).click();
    assert.match(await said(page), /counted/);
    assert.equal(await badge(page), "proposed");
    assert.match(await page.locator("#approvals").textContent(), /Still needed: a signature made by the command line/);
  }
  const shown = JSON.parse((await cli("frank", "order", "show", story.waiting, "--json")).stdout);
  assert.deepEqual(shown.signatures.map((s) => s.kind), ["webauthn", "webauthn"]);
  const approved = await cli("carol", "approve", story.waiting, "--digest", await digest(people.alice.page));
  assert.match(approved.stdout, /is warranted; 3 approvals/, approved.stderr);
});

test("the rollout is watched while it goes, without a reload", async () => {
  const { page } = await as("carol");
  await people.carol.go(`/changes/${story.waiting}`);
  await page.evaluate(() => { window.still = true; });
  await page.locator("#rollout .legend", { hasText: /done\s*4/ }).waitFor({ timeout: 90_000 });
  assert.equal(await page.evaluate(() => window.still), true);
  await until(people.carol, `/changes/${story.waiting}`, async (p) => (await badge(p)) === "closed", "the order is closed");
  assert.match(await page.locator("main").textContent(), /Reconciliation\s*clean/);
  assert.deepEqual(await people.carol.axe(), []);
});

// bundle downloads an order's evidence as the auditor.
async function bundle(order) {
  const { page } = await as("frank");
  await people.frank.go(`/changes/${order}`);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Evidence bundle" }).click()]);
  assert.match(download.suggestedFilename(), new RegExp(order));
  const file = join(mkdtempSync(join(tmpdir(), "pages")), "change.bundle");
  await download.saveAs(file);
  return file;
}

test("the evidence is downloaded, and verified without the server", async () => {
  for (const order of [story.waiting, story.closed]) {
    const file = await bundle(order);
    const verified = await cli("frank", "verify", file, "--root", site.root);
    assert.equal(verified.code, 0, verified.stderr);
    assert.match(verified.stdout, /VALID/);
    assert.doesNotMatch(verified.stdout, /FAIL/);
    assert.notEqual((await cli("frank", "verify", file, "--root", "0".repeat(64))).code, 0);
  }
});

test("an investigation is closed by two people, and then its order", async () => {
  const path = `/investigations/${story.investigation}`;
  const conclude = async (id, reason) => {
    const { page } = await as(id);
    await people[id].go(path);
    await page.getByLabel(/A legitimate change/).check();
    await page.locator("textarea[name=reason]").fill(reason);
    await page.getByRole("button", { name: "Record the conclusion" }).click();
    assert.match(await said(page), /Recorded/);
  };
  const { page } = await as("alice");
  await people.alice.go(path);
  const lines = await page.locator("td.path").allTextContents();
  assert.ok(lines.some((l) => l.includes("/var/www/uploads/update.php")) && lines.some((l) => l.includes("/etc/cron.d/sysupdate")), lines.join());
  await conclude("alice", "An operator's deployment, by ticket 4711");
  assert.equal(await badge(page), "waits for a second person");
  assert.equal(await page.getByRole("button", { name: "Record the conclusion" }).count(), 0, "not by the same person");
  const status = await page.evaluate(async (to) => (await fetch(to, { method: "POST", body: new URLSearchParams({ outcome: "legitimate", reason: "again" }) })).status, `${path}/resolutions`);
  assert.ok(status >= 400, `the same person twice: ${status}`);
  await conclude("carol", "I looked at the ticket and at the files");
  assert.equal(await badge(people.carol.page), "closed");
  await until(people.carol, `/changes/${story.investigated}`, async (p) => (await badge(p)) === "closed", "the order is closed");
  assert.equal((await cli("frank", "verify", await bundle(story.investigated), "--root", site.root)).code, 0);
});

test("the ledger is whole, and says who did all that", async () => {
  const { page } = await as("frank");
  await people.frank.go(`/ledger?subject=order/${story.waiting}`);
  const acts = await page.locator("main table").textContent();
  for (const kind of ["order.proposed", "order.approved", "order.warranted", "order.closed"]) assert.ok(acts.includes(kind), kind);
  await people.frank.go("/ledger");
  await page.locator('form[action="/ledger/audits"] button').click();
  assert.doesNotMatch(await page.locator("main").textContent(), /finding[s]? in the replay|broken/i);
});
