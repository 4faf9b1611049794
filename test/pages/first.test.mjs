// The first run: from the link that the server prints to the first host's findings, all by the pages but for the local
// signatures under the trust root.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { launch, sites, Visitor } from "./browser.mjs";

const at = sites.new;
const people = { alice: ["cirt-analyst"], bob: ["product-manager"], carol: ["operations-manager", "system-owner"], erin: ["administrator"] };
const invited = {};
let browser, visitor, page;
before(async () => {
  browser = await launch(at);
  visitor = await Visitor.open(browser, at);
  page = visitor.page;
});
after(() => browser.close());

// both looks at a page in both themes, and on a phone.
async function both(of, where) {
  await of.page.setViewportSize({ width: 390, height: 844 });
  assert.deepEqual(await of.sticksOut(), [], where);
  await of.page.setViewportSize({ width: 1280, height: 800 });
  for (const colorScheme of ["dark", "light"]) {
    await of.page.emulateMedia({ colorScheme });
    assert.deepEqual(await of.axe(), [], `${where}, ${colorScheme}`);
  }
}

test("the link opens the set-up, once", async () => {
  await page.goto(at.first.link);
  await both(visitor, "the link");
  await page.getByRole("button", { name: "Begin" }).click();
  await page.getByRole("heading", { name: "Name a person" }).waitFor();
  await both(visitor, "people, none");
  visitor.fine();
  const second = await Visitor.open(browser, at);
  await second.page.goto(at.first.link);
  await second.page.getByRole("button", { name: "Begin" }).click();
  assert.equal(await second.page.getByRole("heading", { name: "Name a person" }).count(), 0);
  await second.close();
});

test("the link reaches nothing but the set-up", async () => {
  for (const path of ["/", "/hosts", "/ledger", "/people", "/account", "/join"]) assert.equal((await page.goto(path)).status(), 403, path);
  visitor.expected.push(/status of 4\d\d/);
});

test("people are named; what is half typed outlives a reload", async () => {
  await page.goto("/setup");
  await page.getByLabel("Organisation").fill("Example Hosting AB");
  await page.getByRole("button", { name: "Keep" }).click();
  for (const [id, roles] of Object.entries(people)) {
    await page.getByLabel("Name", { exact: true }).fill(at.people[id].name);
    await page.getByLabel("ID", { exact: true }).fill(id);
    for (const role of roles) await page.getByLabel(role).check();
    if (id === "alice") {
      await page.reload();
      assert.equal(await page.getByLabel("ID", { exact: true }).inputValue(), "alice");
      assert.ok(await page.getByLabel(roles[0]).isChecked());
    }
    await page.getByRole("button", { name: "Add the person" }).click();
    await page.locator("#live").getByRole("row", { name: at.people[id].name }).waitFor();
    assert.equal(await page.getByLabel("ID", { exact: true }).inputValue(), "");
  }
  await page.getByText("The document waits for keys of Alice Novak").waitFor();
  await both(visitor, "people, named");
});

test("each person hands in keys by an invitation of their own", async () => {
  for (const id of Object.keys(people)) {
    await page.getByRole("button", { name: `Invite ${at.people[id].name}` }).click();
    const address = await page.locator("#invitation").textContent();
    if (id === "alice") await both(visitor, "an invitation");
    const one = (invited[id] = await Visitor.open(browser, at));
    await one.page.goto(address);
    if (id === "alice") await both(one, "the invitation");
    await one.page.getByRole("button", { name: "Begin" }).click();
    await one.page.getByLabel("Public keys, a line each").fill(at.first.keys[id]);
    await one.page.getByRole("button", { name: "Hand in" }).click();
    await one.page.getByRole("row", { name: at.people[id].name }).getByText("keys are in").waitFor();
    if (id === "carol") {
      one.expected.push(/pubKeyCredParams is missing/); // only ES256 is taken
      await one.carry("nobody");
      await one.page.getByLabel("Name", { exact: true }).fill("blue key");
      await one.page.getByRole("button", { name: "Register a passkey" }).click();
      await one.page.getByText("blue key").waitFor();
      await both(one, "keys");
    }
    one.fine();
  }
  await page.getByRole("button", { name: "Make the document" }).waitFor(); // without a reload
});

test("the command line signs what the page shows, and with the quorum it is in force", async () => {
  await page.getByRole("button", { name: "Make the document" }).click();
  await page.getByRole("heading", { name: "The document" }).waitFor();
  const digest = await page.locator(".digestline code").textContent();
  await both(visitor, "signatures");
  const sign = (line, ...more) => execFileSync(at.cli, [...line.replace(at.url, `https://${at.address}`).split(" ").slice(1), ...more], { encoding: "utf8", stdio: "pipe" });
  for (const id of ["alice", "carol"]) {
    const { page: own } = invited[id];
    await own.getByRole("heading", { name: "The document" }).waitFor(); // it came by itself
    assert.equal(await own.locator(".digestline code").textContent(), digest);
    await own.getByRole("button", { name: "Make my line" }).click();
    let line = await own.locator("#line").textContent();
    if (id === "alice") {
      await both(invited[id], "the line");
      assert.throws(() => sign(line, "--key", at.people.alice.key_file, "--digest", "0".repeat(64)), /somebody changed it/);
      await own.goto("/join");
      await own.getByRole("button", { name: "Make my line" }).click();
      line = await own.locator("#line").textContent();
    }
    assert.match(sign(line, "--key", at.people[id].key_file, "--digest", digest), id === "carol" ? /in force/ : /others sign it too/);
    if (id === "alice") await page.locator("#live").getByRole("row", { name: "Alice Novak" }).getByText("signed").waitFor();
  }
  for (const { page: one, expected } of [visitor, ...Object.values(invited)]) {
    expected.push(/status of 401/); // by which the page learns that its session is over
    await one.waitForURL("**/sign-in?**");
    await one.getByText("The trust root is in force").waitFor();
  }
  visitor.fine();
});

// signIn comes in by the line that the page shows.
async function signIn(id) {
  await page.getByLabel("Your ID").fill(id);
  await page.getByRole("button", { name: "Sign in with an SSH key" }).click();
  const line = await page.locator("#command").textContent();
  const signature = execFileSync("sh", ["-c", line.replace("~/.ssh/id_ed25519", at.people[id].key_file)], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  await page.getByLabel("Paste what it prints").fill(signature);
  await page.getByRole("button", { name: `Sign in as ${id}` }).click();
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
}

test("the passkey that was handed in opens the door", async () => {
  const one = invited.carol;
  await one.page.getByLabel("Your ID").fill("carol");
  await one.page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await one.page.waitForURL("**/setup");
  await one.page.getByText("An administrator adds the first archive").waitFor();
  await both(one, "step 3 of who may not");
  one.fine();
});

test("an administrator adds the first archive on the page", async () => {
  await signIn("erin");
  await page.getByRole("heading", { name: "Debian's archives" }).waitFor();
  assert.ok(await page.getByText("05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0").isVisible());
  await page.getByText("Another archive").click();
  await page.getByLabel("Name", { exact: true }).fill("debian-security");
  await page.getByLabel("Address").fill(at.first.archive.url);
  await page.getByLabel("Suite").fill("stable");
  await page.getByLabel("Source of advisories for").fill("bookworm");
  await page.getByLabel("Its public keys, armoured").fill(at.first.archive.keyring);
  await page.getByLabel("Fingerprints of the keys").fill(at.first.archive.fingerprint);
  await both(visitor, "step 3");
  await page.locator("details[open]").getByRole("button", { name: "Add", exact: true }).click();
  await page.locator("#live").getByRole("row", { name: "debian-security" }).waitFor();
  await page.locator('.stepper [aria-current="step"]', { hasText: "First host" }).waitFor();
  await page.locator("#live").getByText("current", { exact: true }).waitFor();
  await both(visitor, "step 4");
  visitor.fine();
});

test("an empty site is in order: every section says what is missing", async () => {
  for (const path of ["/", "/vulnerabilities", "/hosts", "/repository", "/changes", "/investigations", "/ledger", "/sources", "/people", "/account"]) {
    await visitor.go(path);
    assert.deepEqual(await visitor.axe(), [], path);
  }
  visitor.fine();
});

test("the first host is enrolled by one line, and the set-up ends with its findings", async () => {
  await visitor.go("/setup");
  await page.getByLabel("Name", { exact: true }).fill("web-01");
  await page.getByLabel("Environment").selectOption("production");
  await page.getByRole("button", { name: "Make the line" }).click();
  const line = await page.locator(".command code").first().textContent();
  await page.getByText("Waiting for web-01 to report").waitFor();
  await both(visitor, "the line of the first host");
  const host = await (await fetch(at.first.host, { method: "POST", body: line })).text();
  await page.waitForURL((url) => url.pathname === `/hosts/${host}`);
  await page.getByText("The set-up is done").waitFor();
  assert.ok(await page.getByRole("link", { name: "CVE-2026-33019" }).first().isVisible());
  await both(visitor, "the first findings");
  visitor.fine();
});
