// The door: how one comes in, what the browser keeps, and what other sites can do with it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, site, Visitor } from "./browser.mjs";

const session = "__Host-patchwarrant";
let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const cookie = async (visitor, name = session) => (await visitor.context.cookies()).find((c) => c.name === name);

test("the session's cookie is for this host alone, over HTTPS, hidden from scripts", async () => {
  const alice = await (await Visitor.open(browser)).signIn("alice");
  const kept = await cookie(alice);
  assert.deepEqual([kept.httpOnly, kept.secure, kept.sameSite, kept.path, kept.domain, kept.expires], [true, true, "Lax", "/", "patch.example.org", -1]);
  assert.equal(await alice.page.evaluate(() => document.cookie), "");
  assert.equal(await alice.page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  alice.fine();
  await alice.close();
});

test("a session that was planted is not the one that is used", async () => {
  const frank = await (await Visitor.open(browser)).signIn("frank");
  const planted = (await cookie(frank)).value;
  const alice = await Visitor.open(browser);
  await alice.context.addCookies([{ name: session, value: planted, url: site.url, secure: true, httpOnly: true }]);
  await alice.carry("alice");
  await alice.page.goto("/sign-in?again=yes");
  await alice.page.getByLabel("Your ID").fill("alice");
  await alice.page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await alice.page.waitForURL((url) => url.pathname === "/");
  assert.notEqual((await cookie(alice)).value, planted);
  await frank.page.goto("/account");
  assert.equal(new URL(frank.page.url()).pathname, "/sign-in", "the planted session has ended");
  await alice.close();
  await frank.close();
});

test("who signed out is out, also with the old cookie", async () => {
  const alice = await (await Visitor.open(browser)).signIn("alice");
  const old = await cookie(alice);
  await alice.page.getByRole("button", { name: "Sign out" }).click();
  await alice.page.waitForURL("**/sign-in");
  assert.equal(await cookie(alice), undefined);
  await alice.context.addCookies([{ name: session, value: old.value, url: site.url, secure: true, httpOnly: true }]);
  await alice.page.goto("/hosts");
  assert.equal(new URL(alice.page.url()).pathname, "/sign-in");
  await alice.close();
});

test("another's passkey, no passkey, and nobody's name open nothing and tell nothing", async () => {
  const texts = [];
  for (const [id, key] of [["alice", "bob"], ["alice", null], ["nobody.such", "bob"]]) {
    const visitor = await Visitor.open(browser);
    await visitor.carry(key);
    await visitor.page.goto("/sign-in");
    await visitor.page.getByLabel("Your ID").fill(id);
    await visitor.page.getByRole("button", { name: "Sign in with a passkey" }).click();
    await visitor.page.locator(".trouble:not([hidden])").waitFor();
    texts.push(await visitor.page.locator(".trouble").textContent());
    assert.equal(await cookie(visitor), undefined);
    assert.deepEqual(await visitor.axe(), []);
    await visitor.close();
  }
  assert.equal(new Set(texts).size, 1, texts.join(" / "));
});

test("after signing in one is where one wanted to be, and never elsewhere", async () => {
  for (const [to, want] of [["/hosts?state=silent", "/hosts?state=silent"], ["//evil.example.org/", "/"], ["https://evil.example.org/", "/"],
    ["/\\evil.example.org", "/"], ["javascript:alert(1)", "/"], ["/%09/evil.example.org", null], ["https:evil.example.org", "/"]]) {
    const alice = await (await Visitor.open(browser)).signIn("alice", to);
    const at = new URL(alice.page.url());
    assert.equal(at.origin, site.url, to);
    if (want) assert.equal(at.pathname + at.search, want, to);
    await alice.close();
  }
});

test("a page that needs a session leads to the door and back", async () => {
  const alice = await Visitor.open(browser);
  await alice.carry("alice");
  await alice.page.goto("/vulnerabilities?q=nginx");
  await alice.page.getByLabel("Your ID").fill("alice");
  await alice.page.keyboard.press("Enter");
  await alice.page.waitForURL("**/vulnerabilities?q=nginx");
  alice.fine();
  await alice.close();
});

test("another site's page cannot act for who is signed in", async () => {
  const carol = await (await Visitor.open(browser)).signIn("carol");
  await carol.page.goto("about:blank");
  await carol.page.setContent(`<form method="post" action="${site.url}/hosts/enrolments"><input name="name" value="evil"><input name="environment" value="stage"><button>x</button></form>`);
  const [answer] = await Promise.all([carol.page.waitForResponse((r) => r.url().endsWith("/hosts/enrolments")), carol.page.locator("button").click()]);
  assert.equal(answer.status(), 403);
  await carol.close();
});

test("no other page can frame one of ours", async () => {
  const carol = await (await Visitor.open(browser)).signIn("carol");
  await carol.page.goto("about:blank");
  await carol.page.setContent(`<iframe src="${site.url}/hosts"></iframe>`);
  await carol.page.waitForTimeout(500);
  const frame = carol.page.frames()[1];
  assert.match(frame.url(), /^(chrome-error|about):/);
  await carol.close();
});

test("another's session and token cannot be ended by guessing its ID", async () => {
  const alice = await (await Visitor.open(browser)).signIn("alice");
  const erin = await (await Visitor.open(browser)).signIn("erin");
  await alice.go("/account");
  const mine = await alice.page.locator('form[action^="/account/sessions/"]').first().getAttribute("action");
  const end = (visitor, path) => visitor.page.evaluate(async (to) => (await fetch(to, { method: "POST" })).status, path);
  assert.equal(await end(erin, mine), 404);
  await alice.go("/account");
  assert.equal(new URL(alice.page.url()).pathname, "/account");
  await erin.go("/people");
  const form = erin.page.locator('form[action^="/people/alice/sessions/"]').first();
  await form.locator("button").click();
  await erin.page.waitForLoadState();
  await alice.close();
  await erin.close();
});

test("a new passkey is registered, and opens nothing before a trust root holds it", async () => {
  const dave = await (await Visitor.open(browser)).signIn("dave");
  await dave.authenticator.session.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId: dave.authenticator.authenticatorId });
  await dave.authenticator.session.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "usb", hasResidentKey: false, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  await dave.go("/account");
  await dave.page.getByLabel("Name").first().fill("spare key");
  await dave.page.getByRole("button", { name: "Register a passkey" }).click();
  await dave.page.locator("tr", { hasText: "spare key" }).locator(".badge", { hasText: "for the next trust root" }).waitFor();
  assert.deepEqual(await dave.axe(), []);
  await dave.page.getByRole("button", { name: "Sign out" }).click();
  await dave.page.getByLabel("Your ID").fill("dave");
  await dave.page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await dave.page.locator(".trouble:not([hidden])").waitFor();
  await dave.close();
});

test("a token is shown once, within its scope, and revoked", async () => {
  const frank = await (await Visitor.open(browser)).signIn("frank");
  await frank.go("/account");
  await frank.page.locator('[data-open="token"]').click();
  await frank.page.locator("#token-name").fill("inventory export");
  await frank.page.locator('#token input[value="read"]').check();
  await frank.page.getByRole("button", { name: "Make", exact: true }).click();
  const secret = await frank.page.locator(".command code").first().textContent();
  const ask = (path, method = "GET") => frank.page.evaluate(async ([to, how, token]) =>
    (await fetch(to, { method: how, credentials: "omit", headers: { Authorization: `Bearer ${token}` } })).status, [`/api/v1${path}`, method, secret]);
  assert.equal((await ask("/hosts")), 200);
  assert.equal(await ask("/ledger/audits", "POST"), 403, "not in its scope");
  await frank.go("/account");
  assert.ok(!(await frank.page.content()).includes(secret));
  await frank.page.getByRole("button", { name: "Revoke" }).first().click();
  await frank.page.waitForLoadState();
  assert.equal(await ask("/hosts"), 401);
  await frank.close();
});
