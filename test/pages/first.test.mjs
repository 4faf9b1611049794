// The first run: from the link that the server prints to the first host's findings.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, sites, Visitor } from "./browser.mjs";

const at = sites.new;
const dir = mkdtempSync(join(tmpdir(), "pages"));
const cli = (...args) => execFileSync(at.cli, args, { cwd: dir, encoding: "utf8" });
let browser, visitor, page;
before(async () => {
  browser = await launch(at);
  visitor = await Visitor.open(browser, at);
  page = visitor.page;
});
after(() => browser.close());

test("the link opens the set-up, once", async () => {
  await page.goto(at.first.link);
  assert.deepEqual(await visitor.axe(), []);
  await page.getByRole("button", { name: "Begin" }).click();
  await page.getByText("server-keys.json").first().waitFor();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await visitor.axe(), []);
  }
  visitor.fine();
  const second = await Visitor.open(browser, at);
  await second.page.goto(at.first.link);
  await second.page.getByRole("button", { name: "Begin" }).click();
  assert.equal(await second.page.getByLabel("The digest that was read out").count(), 0);
  await second.close();
});

test("the link reaches nothing but the set-up", async () => {
  for (const path of ["/", "/hosts", "/ledger", "/people", "/account"]) assert.equal((await page.goto(path)).status(), 403, path);
  visitor.expected.push(/status of 4\d\d/);
});

test("people sign the first trust root with the command line, and the page puts it in force", async () => {
  await page.goto("/setup");
  writeFileSync(join(dir, "server-keys.json"), await page.locator("[data-copy]").first().getAttribute("data-copy"));
  cli("trust-root", "draft", "--people", at.first.people, "--server-keys", "server-keys.json", "-o", "trust-root.json");
  cli("trust-root", "sign", "trust-root.json", "--key", at.people.alice.key_file);
  const digest = cli("trust-root", "sign", "trust-root.json", "--key", at.people.carol.key_file).match(/[0-9a-f]{64}/)[0];
  const fill = async (read) => {
    await page.getByLabel("Paste trust-root.json").fill(readFileSync(join(dir, "trust-root.json"), "utf8"));
    await page.getByLabel("The digest that was read out").fill(read);
    await page.getByRole("button", { name: "Put it in force" }).click();
  };
  await fill("0".repeat(64));
  await page.locator("h1", { hasText: /cannot|leave/i }).waitFor();
  await page.goto("/setup");
  await fill(digest);
  await page.waitForURL("**/sign-in");
});

// signIn comes in by the line that the page shows.
async function signIn(id) {
  await page.goto("/sign-in");
  await page.getByLabel("Your ID").fill(id);
  await page.getByRole("button", { name: "Sign in with an SSH key" }).click();
  const line = await page.locator("#command").textContent();
  const signature = execFileSync("sh", ["-c", line.replace("~/.ssh/id_ed25519", at.people[id].key_file)], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  await page.getByLabel("Paste what it prints").fill(signature);
  await page.getByRole("button", { name: `Sign in as ${id}` }).click();
  await page.waitForURL((url) => url.pathname === "/");
}

test("an empty site is in order: every section says what is missing", async () => {
  await signIn("carol");
  for (const path of ["/", "/vulnerabilities", "/hosts", "/repository", "/changes", "/changes/new", "/investigations", "/ledger", "/sources", "/people", "/account"]) {
    await visitor.go(path);
    assert.deepEqual(await visitor.axe(), [], path);
  }
  visitor.fine();
});

test("the first host is enrolled by one line, and its findings are on its page", async () => {
  await visitor.go("/hosts");
  await page.getByRole("button", { name: "Enrol a host" }).first().click();
  await page.locator("#enrol #name").fill("web-01");
  await page.locator("#enrol select").selectOption("production");
  await page.getByRole("button", { name: "Make the line" }).click();
  const line = await page.locator(".command code").first().textContent();
  assert.deepEqual(await visitor.axe(), []);
  const host = await (await fetch(at.first.host, { method: "POST", body: line })).text();
  await page.getByRole("button", { name: "Sign out" }).click();

  await signIn("alice");
  await visitor.go("/sources");
  await page.locator('[data-open="import-debian-tracker"]').click();
  await page.locator("#import-debian-tracker input[type=file]").setInputFiles(at.first.tracker);
  await page.locator("#import-debian-tracker").getByRole("button", { name: "Import" }).click();
  assert.match(await page.getByRole("status").textContent(), /in force/);
  await visitor.go(`/hosts/${host}`);
  const findings = await page.locator("main table caption").last().textContent();
  assert.match(findings, /^1\d findings|^2\d findings/);
  assert.ok(await page.getByRole("link", { name: "CVE-2026-33019" }).isVisible());
  visitor.fine();
});
