// What else people do in the browser, after the story and on the site that it left: propose, say no, halt, back out, look after
// accounts, come in by another way or again. It stands in this order; what moves the clock comes last.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cli, launch, site, until, Visitor } from "./browser.mjs";

const { story, hosts } = site;
let browser;
const people = {};
const as = async (id) => (people[id] ??= await (await Visitor.open(browser)).signIn(id));
const control = async (what) => assert.ok((await fetch(`${site.controls}${what}`, { method: "POST" })).ok);

before(async () => { browser = await launch(); });
after(() => browser.close());

const said = (page) => page.getByRole("status").textContent();
const badge = (page) => page.locator(".head h1 .badge").textContent();
const digest = (page) => page.locator(".full code").first().textContent();
const click = (page, name) => Promise.all([page.waitForEvent("load"), page.getByRole("button", { name, exact: true }).click()]);

// again proves who somebody is, on the sign-in page that they were led to.
async function again(page, id) {
  await page.getByLabel("Your ID").fill(id);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.waitForURL((url) => url.pathname !== "/sign-in");
}

// on proves who somebody is, on the sign-in page that carries what they sent, and sends it.
async function on(page, id) {
  await page.getByText("What you sent was not done yet").waitFor();
  await page.getByLabel("Your ID").fill(id);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByRole("button", { name: "Send it now" }).click();
}

// because fills the dialog that asks why.
async function because(page, open, verb) {
  await page.locator(`[data-open="${open}"]`).click();
  await page.locator("dialog[open] textarea").fill("Seen in the browser's test");
  await Promise.all([page.waitForEvent("load"), page.locator("dialog[open] button.main", { hasText: verb }).click()]);
}

let record, order;

test("a snapshot is proposed by form, signed, and promoted by form", async () => {
  await control("/archive"); // a newer nginx is out
  const bob = await as("bob");
  await bob.go("/repository");
  await click(bob.page, "Look again");
  await click(bob.page, "Propose a snapshot");
  record = new URL(bob.page.url()).pathname.split("/").pop();
  assert.match(record, /^[0-9a-f]{64}$/);
  assert.match(await bob.page.locator("main").textContent(), /1\.22\.1-9\+deb12u4/);
  assert.deepEqual(await bob.axe(), []);
  const alice = await as("alice");
  await alice.go(`/repository/snapshots/${record}`);
  await click(alice.page, "Sign with a passkey");
  assert.match(await said(alice.page), /counted/);
  const signed = await cli("carol", "snapshot", "sign", record, "--digest", await digest(alice.page));
  assert.match(signed.stdout, /is in force/, signed.stderr);
  await bob.go("/repository");
  const form = bob.page.locator('form[action="/repository/channels/stage/promotions"]');
  await bob.go(`/repository/snapshots/${record}`);
  const snapshot = new URL(await bob.page.locator('a[href^="/changes/new?kind=stage"]').getAttribute("href"), site.url).searchParams.get("snapshot");
  await bob.go("/repository");
  await form.locator("select").selectOption(snapshot);
  await Promise.all([bob.page.waitForEvent("load"), form.getByRole("button", { name: "Promote" }).click()]);
  assert.ok((await bob.page.locator("tr", { hasText: "stage" }).first().textContent()).includes(snapshot.slice(0, 8)));
  bob.fine();
});

// propose fills the form of a new order.
async function propose(visitor, kind, fields) {
  const { page } = visitor;
  await visitor.go(`/changes/new?kind=${kind}`);
  const { snapshot, of, ...texts } = fields;
  await page.getByLabel(kind === "back-out" ? "Older snapshot to return to" : "Snapshot", { exact: true }).selectOption(snapshot);
  if (of) await page.getByLabel("Order to undo").selectOption(of);
  for (const [label, text] of Object.entries(texts)) await page.getByLabel(label).fill(text);
  await click(page, "Propose");
  return new URL(page.url()).pathname.split("/").pop();
}

const texts = { Reason: "nginx: a newer fix", "Plan: course of action and tests": "Upgrade, then ask for a page.", "Back-out": "Down again." };

async function toStage() {
  const bob = await as("bob");
  await bob.go(`/repository/snapshots/${record}`);
  const snapshot = new URL(await bob.page.locator('a[href^="/changes/new?kind=stage"]').getAttribute("href"), site.url).searchParams.get("snapshot");
  const id = await propose(bob, "stage", { snapshot, "Hosts by ID (empty: all of the environment)": hosts["stage-web"], ...texts });
  assert.match(id, /^ord_/, await bob.page.locator("main").textContent());
  assert.equal(await badge(bob.page), "proposed");
  return id;
}

test("an order is proposed by form, and withdrawn by its author", async () => {
  const id = await toStage();
  const { page } = people.bob;
  assert.match(await page.locator("main").textContent(), /1\.22\.1-9\+deb12u4/);
  await because(page, "withdraw", "Withdraw");
  assert.equal(await badge(page), "withdrawn");
  assert.equal(await page.locator('[data-open="withdraw"]').count(), 0);
  await people.bob.go(`/ledger?subject=order/${id}`);
  assert.match(await page.locator("main table").textContent(), /order\.withdrawn/);
  people.bob.fine();
});

test("an order is rejected by who may approve it, and then takes no signature", async () => {
  const id = await toStage();
  const carol = await as("carol");
  await carol.go(`/changes/${id}`);
  const exact = await digest(carol.page);
  await because(carol.page, "reject", "Reject");
  assert.equal(await badge(carol.page), "rejected");
  assert.equal(await carol.page.getByRole("button", { name: "Approve with a passkey" }).count(), 0);
  const late = await cli("carol", "approve", id, "--digest", exact);
  assert.notEqual(late.code, 0, late.stdout);
  carol.fine();
});

test("a rollout is halted, and let go on, in the page", async () => {
  order = await toStage();
  const dave = await as("dave");
  await dave.go(`/changes/${order}`);
  await click(dave.page, "Approve with a passkey");
  const approved = await cli("carol", "approve", order, "--digest", await digest(dave.page));
  assert.match(approved.stdout, /is warranted/, approved.stderr);
  const rollout = () => dave.page.locator("#rollout h2 .badge").textContent();
  await dave.go(`/changes/${order}`);
  assert.equal(await rollout(), "running"); // its window opens within the hour
  await because(dave.page, "halt", "Halt");
  assert.equal(await rollout(), "halted");
  assert.deepEqual(await dave.axe(), []);
  const frank = await as("frank");
  await frank.go(`/changes/${order}`);
  assert.equal(await frank.page.locator('[data-open="resume"]').count(), 0, "an auditor lets nothing go on");
  await because(dave.page, "resume", "Go on");
  assert.equal(await rollout(), "running");
  dave.fine();
});

test("an account is reviewed, by somebody else", async () => {
  const erin = await as("erin");
  await erin.go("/people");
  assert.equal(await erin.page.locator('[data-open="review-erin"]').count(), 0, "not one's own");
  await erin.page.locator('[data-open="review-alice"]').click();
  await erin.page.locator("dialog[open] textarea").fill("The list of the personnel office");
  await Promise.all([erin.page.waitForEvent("load"), erin.page.getByRole("button", { name: "They are right" }).click()]);
  assert.match(await erin.page.locator("tr", { hasText: "Alice Novak" }).filter({ hasText: "by Erin Sato" }).textContent(), /on/);
  erin.fine();
});

test("who leaves is out at once, and back when that was a mistake", async () => {
  const erin = await as("erin");
  const rita = await as("rita");
  await erin.go("/people");
  await because(erin.page, "notice-rita", "Turn the account off");
  assert.match(await erin.page.locator("tr", { hasText: "Rita Okafor" }).filter({ hasText: "leaving" }).textContent(), /to be dropped/);
  await rita.page.goto("/");
  assert.equal(new URL(rita.page.url()).pathname, "/sign-in");
  await rita.page.getByLabel("Your ID").fill("rita");
  await rita.page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await rita.page.locator("h1", { hasText: /signed in|leave/i }).waitFor();
  assert.equal((await rita.page.locator(".trouble, main").first().textContent()).includes("Today"), false);
  await because(erin.page, "notice-rita", "Withdraw the notice");
  await rita.page.goto("/sign-in");
  await again(rita.page, "rita");
  await rita.go("/");
  erin.fine();
});

test("failing in somebody's name does not keep them out", async () => {
  const other = await Visitor.open(browser);
  await other.carry("bob");
  for (let i = 0; i < 9; i++) { // the later ones wait for their answers
    await other.page.goto("/sign-in");
    const status = await other.page.evaluate(async () => (await fetch("/sign-in", { method: "POST",
      body: new URLSearchParams({ person: "frank", challenge: "A".repeat(43), credential: "AA", client_data: "AA", authenticator_data: "AA", signature: "AA" }) })).status);
    assert.equal(status, 401);
  }
  await other.close();
  const frank = await (await Visitor.open(browser)).signIn("frank");
  await frank.go("/hosts");
  frank.fine();
  await frank.close();
});

test("whom an OpenID provider names comes in, reads and proposes, and signs nothing", async () => {
  const visitor = await Visitor.open(browser);
  visitor.expected.push(/asks elsewhere: https:\/\/127\.0\.0\.1:/);
  await visitor.page.goto("/sign-in");
  await visitor.page.getByRole("link", { name: "Sign in by corp" }).click();
  await visitor.page.waitForURL(`${site.url}/`);
  assert.match(await visitor.page.locator(".me").textContent(), /Bob Lindqvist/);
  await visitor.go("/changes/new");
  await visitor.go(`/repository/snapshots/${record}`);
  assert.equal(await visitor.page.getByRole("button", { name: /with a passkey/ }).count(), 0);
  const sign = await visitor.page.evaluate(async (to) => (await fetch(to, { method: "POST", body: new URLSearchParams() })).status, `/repository/snapshots/${record}/signatures`);
  assert.equal(sign, 403);
  visitor.expected.push(/status of 403/);
  visitor.fine();
  await visitor.close();
});

test("whom the provider names and the trust root does not know stays outside", async () => {
  const visitor = await Visitor.open(browser);
  await visitor.page.goto("/sign-in");
  await Promise.all([visitor.page.waitForURL(/\/sign-in\/provider\/corp/), visitor.page.getByRole("link", { name: "Sign in by corp" }).click()]);
  assert.equal((await visitor.context.cookies()).find((c) => c.name === "__Host-patchwarrant"), undefined);
  await visitor.page.goto("/hosts");
  assert.equal(new URL(visitor.page.url()).pathname, "/sign-in");
  await visitor.close();
});

test("five minutes after the login, a token and a passkey ask for the key again", async () => {
  const alice = await (await Visitor.open(browser)).signIn("alice");
  const { page } = alice;
  await control("/clock?minutes=6");
  await alice.go("/account");
  const ask = async () => {
    await page.locator('[data-open="token"]').click();
    await page.locator("#token-name").fill("export");
    await page.locator('#token input[value="read"]').check();
    await page.getByRole("button", { name: "Make", exact: true }).click();
  };
  await ask();
  await on(page, "alice");
  await page.locator(".command code", { hasText: /^pwa_/ }).waitFor();

  await control("/clock?minutes=6");
  await alice.authenticator.session.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId: alice.authenticator.authenticatorId });
  alice.authenticator = await alice.carry("alice");
  await alice.go("/account");
  await page.getByLabel("Name").first().fill("blue key");
  await page.getByRole("button", { name: "Register a passkey" }).click();
  await page.waitForURL(/\/sign-in\?.*again=yes/);
  await again(page, "alice");
  assert.equal(new URL(page.url()).pathname, "/account", "back where they were");
  assert.equal(await page.getByLabel("Name").first().inputValue(), "blue key");
  await alice.close();
});

test("what was signed after the session's end is kept through the sign-in", async () => {
  const alice = await as("alice");
  const { page } = alice;
  alice.expected.push(/status of 401/);
  await alice.go("/vulnerabilities/CVE-2026-26101/glibc");
  await page.locator('[data-open="decide"]').click();
  await page.getByLabel("Defer: decide again by a date").check();
  await page.locator("#until").fill(new Date(Date.now() + 5 * 86400e3).toISOString().slice(0, 10));
  await page.locator("#reason").fill("Sooner than we said.");
  await page.getByRole("button", { name: "Review what I sign" }).click();
  await page.getByRole("button", { name: "Decide with a passkey" }).waitFor();
  await control("/clock?minutes=61");
  await page.getByRole("button", { name: "Decide with a passkey" }).click();
  await page.getByText("What you sent was not done yet").waitFor();
  assert.deepEqual(await alice.axe(), []);
  await page.getByLabel("Your ID").fill("alice");
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByRole("button", { name: "Send it now" }).waitFor();
  assert.deepEqual(await alice.axe(), []);
  await page.getByRole("button", { name: "Send it now" }).click();
  await page.waitForURL(/\/vulnerabilities\/CVE-2026-26101\/glibc\?said=decided/);
  assert.match(await page.locator("main").textContent(), /Sooner than we said/);
  for (const address of ["/decisions/draft", "/hosts/enrolments"]) await alice.go(address);
  alice.fine();
});

test("sessions end when nobody uses them; the order's window opens, and a back-out is proposed by form", async () => {
  await control("/clock?minutes=61");
  const { bob } = people;
  await bob.page.goto(`/changes/${order}`);
  assert.equal(new URL(bob.page.url()).pathname, "/sign-in", "an hour without use");
  await again(bob.page, "bob");
  await bob.go(`/changes/${order}`);
  await bob.page.locator("#rollout .legend", { hasText: /done\s*1/ }).waitFor({ timeout: 60_000 });
  await until(bob, `/hosts/${hosts["stage-web"]}?tab=packages&q=nginx`, async (page) => (await page.locator("main").textContent()).includes("1.22.1-9+deb12u4"), "the host tells its new package");
  const before = await bob.page.evaluate(async (path) => (await (await fetch(path)).text()), `/repository/snapshots/${story.records[2]}`);
  const snapshot = before.match(/kind=stage&amp;snapshot=([0-9a-f]{64})/)[1];
  const id = await propose(bob, "back-out", { snapshot, of: order, "Notice goes now to": "owners", ...texts });
  assert.match(id, /^ord_/, await bob.page.locator("main").textContent());
  assert.match(await bob.page.locator("h1").textContent(), /Back-out order/);
  assert.match(await bob.page.locator("main").textContent(), /downgrade\s*nginx\s*amd64\s*1\.22\.1-9\+deb12u4\s*1\.22\.1-9\+deb12u3/);
  assert.deepEqual(await bob.axe(), []);
  bob.fine();
});
