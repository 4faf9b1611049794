// The browser, people in it, and what no page may do: break the policy, fail in the console, ask elsewhere.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

export const sites = JSON.parse(readFileSync(process.env.SITES, "utf8"));
export const site = sites.plain;

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// launch starts Chromium for a site, whose host name leads to where the server really is and whose CA is trusted.
export function launch(at = site) {
  const port = at.address.split(":")[1];
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
      "--disable-sync", `--host-resolver-rules=MAP patch.example.org:443 127.0.0.1:${port}`, `--ignore-certificate-errors-spki-list=${at.pin},${at.provider}`],
  });
}

// Visitor is someone with a browser window of their own. Its troubles are what went wrong in it by itself.
export class Visitor {
  static async open(browser, at = site, options = {}) {
    const visitor = new Visitor();
    visitor.site = at;
    visitor.context = await browser.newContext({ baseURL: at.url, viewport: { width: 1280, height: 800 }, locale: "en-GB", timezoneId: "UTC",
      reducedMotion: "reduce", acceptDownloads: true, ...options });
    visitor.page = await visitor.context.newPage();
    visitor.troubles = [];
    visitor.expected = []; // patterns of what a test provokes
    const note = (what) => visitor.troubles.push(`${visitor.page.url()}: ${what}`);
    visitor.page.on("console", (m) => { if (["error", "warning"].includes(m.type())) note(`console: ${m.text()}`); });
    visitor.page.on("pageerror", (e) => note(`script: ${e}`));
    visitor.page.on("dialog", (d) => { note(`dialog: ${d.message()}`); d.dismiss(); });
    visitor.page.on("request", (r) => { if (!r.url().startsWith(at.url + "/") && !r.url().startsWith("data:")) note(`asks elsewhere: ${r.url()}`); });
    await visitor.context.exposeBinding("violated", (_, what) => note(`policy: ${what}`));
    await visitor.context.addInitScript(() => addEventListener("securitypolicyviolation", (e) => window.violated(`${e.violatedDirective} ${e.blockedURI}`)));
    return visitor;
  }

  // carry gives the window an authenticator that holds the person's passkey; without one, an empty authenticator.
  async carry(id) {
    const { passkey } = this.site.people[id] ?? {};
    const session = await this.context.newCDPSession(this.page);
    await session.send("WebAuthn.enable");
    const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
      options: { protocol: "ctap2", transport: "usb", hasResidentKey: false, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
    });
    if (passkey) {
      await session.send("WebAuthn.addCredential", { authenticatorId,
        credential: { credentialId: passkey.id, isResidentCredential: false, rpId: "patch.example.org", privateKey: passkey.pkcs8, signCount: 0 } });
    }
    return { session, authenticatorId };
  }

  // signIn comes in by passkey, as people do.
  async signIn(id, to = "/") {
    this.id = id;
    this.authenticator = await this.carry(id);
    await this.page.goto(`/sign-in?to=${encodeURIComponent(to)}`);
    await this.page.getByLabel("Your ID").fill(id);
    await this.page.getByRole("button", { name: "Sign in with a passkey" }).click();
    await this.page.waitForURL((url) => url.pathname !== "/sign-in");
    return this;
  }

  async go(path) {
    const answer = await this.page.goto(path);
    assert.equal(answer.status(), 200, `${path}: ${answer.status()}`);
    return answer;
  }

  // fine demands that nothing went wrong by itself.
  fine() {
    const left = this.troubles.filter((t) => !this.expected.some((pattern) => pattern.test(t)));
    assert.deepEqual(left, []);
  }

  // axe gives the violations on the page, or in a part of it.
  async axe(within, rules) {
    await this.page.evaluate(axeSource);
    const found = await this.page.evaluate(([scope, only]) => window.axe.run(scope ?? document, {
      resultTypes: ["violations"], ...(only ? { runOnly: { type: "rule", values: only } } : {}),
    }), [within, rules]);
    return found.violations.flatMap((v) => v.nodes.map((n) => `${v.id} (${v.impact}): ${n.target.join(" ")}: ${n.failureSummary.replaceAll("\n", " ")}`));
  }

  // sticksOut gives what makes the page scroll sideways, the outermost elements alone.
  sticksOut() {
    return this.page.evaluate(() => {
      if (document.documentElement.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth) return [];
      const out = (e) => e.getBoundingClientRect().right > innerWidth + 1;
      const outermost = [...document.querySelectorAll("body *")].filter((e) => out(e) && !out(e.parentElement));
      return [`${document.documentElement.scrollWidth} pixels`, ...outermost.map((e) => `${e.tagName} ${e.className}`)];
    });
  }

  async close() { await this.context.close(); }
}

const run = promisify(execFile);
const sessions = {};

// cli runs the command line as a person, logged in, and gives what it prints and how it ended.
export async function cli(id, ...args) {
  const person = site.people[id];
  const env = { ...process.env, PATCHWARRANT_SESSION: sessions[id] ?? join(mkdtempSync(join(tmpdir(), "pages")), "session") };
  if (!sessions[id]) {
    sessions[id] = env.PATCHWARRANT_SESSION;
    await run(site.cli, ["login", "--server", `https://${site.address}`, "--ca", site.ca, "--person", id, "--key", person.key_file], { env });
  }
  try {
    return { code: 0, ...(await run(site.cli, args, { env })) };
  } catch (e) {
    return { code: e.code, stdout: e.stdout, stderr: e.stderr };
  }
}

// until looks at a page again until it shows what the server is still about to do.
export async function until(visitor, path, there, what) {
  for (let i = 0; i < 60; i++) {
    await visitor.go(path);
    if (await there(visitor.page)) return;
    await visitor.page.waitForTimeout(1000);
  }
  assert.fail(`it never came: ${what}`);
}
