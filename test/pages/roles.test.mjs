// Each role sees and can do exactly its own: what pages offer is compared with the table of roles and actions that the
// server decides by.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, site, Visitor } from "./browser.mjs";
import { offered } from "./places.mjs";

const { story, hosts } = site;

// What a page offers and which action that is.
const controls = [
  ["/vulnerabilities", '[data-all="vulnerability"]', "decide"],
  ["/vulnerabilities/CVE-2026-26101/glibc", '[data-open="decide"]', "decide"],
  ["/vulnerabilities/CVE-2026-26101/glibc", 'a[href$="/assessment"]', "decide"],
  [`/decisions/${story.undecided}`, '[data-open="refuse"]', "decide"],
  [`/policies/${story.policies[1]}`, 'form[action$="/withdrawal"]', "propose-policy"],
  ["/hosts", '[data-open="enrol"]', "enrol-host"],
  [`/hosts/${hosts["web-01"]}`, '[data-open="retire"]', "propose-retirement"],
  [`/hosts/retirements/${story.retirement}`, '[data-open="end"]', "cancel-order"],
  ["/hosts/estate", '[data-open="new"]', "edit-record"],
  ["/hosts/estate", '[data-open="import"]', "edit-record"],
  [`/hosts/records/${story.inventory[0]}`, 'input[name="hostname"]', "edit-record"],
  [`/hosts/records/${story.inventory[0]}`, 'form[action$="/host"] button', "link-record"],
  [`/hosts/records/${story.inventory[1]}`, 'form[action$="/drop"] button', "edit-record"],
  ["/hosts/groups", '[data-open="new"]', "edit-record"],
  ["/changes/templates", '[data-open="new"]', "propose-order"],
  ["/hosts/groups", 'form[action="/hosts/groups/drop"] button', "edit-record"],
  ["/hosts/builds", '[data-open="new"]', "edit-record"],
  ["/hosts/builds/web-base", 'form[action$="/drop"] button', "edit-record"],
  ["/repository", '[data-open="add-upstream"], form[action="/repository/upstreams"] button', "configure-mirror"],
  ["/suspicions", '[data-open="suspect"]', "report-suspicion"],
  ["/people", 'form[action="/people/scope"]', "advance-trust-root"],
  ["/scans", '[data-open="import"]', "import-advisories"],
  ["/repository", 'form[action="/repository/upstreams/debian-security/refresh"] button', "refresh-mirror"],
  ["/repository", 'form[action="/repository/snapshots"] button, [data-open="propose"]', "propose-snapshot"],
  ["/hosts?state=silent", '[data-open="save-view"]', "save-view"],
  ["/changes", 'a[href="/changes/new"]', "propose-order"],
  [`/changes/${story.stage}`, 'a[href^="/changes/new?kind=production"]', "propose-order"],
  [`/changes/${story.closed}`, `form[action="/changes/${story.closed}/bundle"] button`, "audit"],
  [`/changes/${story.closed}`, '#rollout a[href^="/facts/"]', "audit"],
  [`/repository/snapshots/${story.records[0]}`, 'a[href^="/changes/new?kind=stage"]', "propose-order"],
  ["/sources", '[data-open="import-kev"]', "import-advisories"],
  ["/sources", 'input[name="advisory"]', "decide"],
  ["/sources", 'button[name="relevant"]', "decide"],
  ["/ledger", 'form[action="/ledger/audits"] button', "audit"],
  [`/investigations/${story.investigation}`, 'form[action$="/resolutions"]', "investigate"],
  ["/people", 'h2:text-is("Accounts")', "see-accounts"],
  ["/people", '[data-open^="review-"]', "review-account"],
  ["/people", '[data-open^="notice-"]', "give-notice"],
  ["/people", 'form[action*="/sessions/"] button', "end-sessions"],
  ["/account", "form[data-passkey-register]", "register-key"],
  ["/account", '[data-open="token"]', "make-token"],
];

// What can be sent, whether a page offers it or not: every form's target, about what is not there. The bodies are empty: whoever
// has leave is told so, or that it is not there. What an empty form is enough for is left out.
const whole = ["/sign-out", "/repository/snapshots", "/ledger/audits"];
const sent = site.routes.filter((r) => r.method === "POST" && r.action !== "" && !whole.includes(r.path))
  .map((r) => [r.path.replaceAll(/\{\w+\}/g, "none"), r.action]);

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

for (const person of Object.values(site.people)) {
  test(person.roles.join(), async (t) => {
    const visitor = await (await Visitor.open(browser)).signIn(person.id);
    visitor.expected.push(/status of 4\d\d/); // what is refused is told to the console, too
    const may = (action) => person.actions.includes(action);
    await t.test("pages offer what the role may", async () => {
      let at = "";
      for (const [path, selector, action] of controls) {
        if (path !== at) await visitor.go(path);
        at = path;
        assert.equal((await visitor.page.locator(selector).count()) > 0, may(action), `${path} ${selector} (${action})`);
      }
    });
    await t.test("pages for some are closed to others", async () => {
      for (const [path, action] of Object.values(offered)) {
        const answer = await visitor.page.goto(path);
        assert.equal(answer.status(), may(action) ? 200 : 403, path);
      }
    });
    await t.test("a request for what no page offers is refused", async () => {
      for (const [path, action] of sent) {
        const status = await visitor.page.evaluate(async (to) => (await fetch(to, { method: "POST", body: new URLSearchParams() })).status, path);
        if (may(action)) assert.ok([200, 404, 409, 422].includes(status), `${path}: ${status}`);
        else assert.equal(status, 403, path);
      }
    });
    await t.test("an order is offered to who may sign or stop it", async () => {
      await visitor.go(`/changes/${story.waiting}`);
      const offers = (await visitor.page.locator("form[data-passkey]").count()) > 0;
      assert.equal(offers, may("approve") && person.id !== "bob", "its author never");
      assert.equal((await visitor.page.locator('[data-open="withdraw"]').count()) > 0, person.id === "bob");
      assert.equal((await visitor.page.locator('[data-open="reject"]').count()) > 0, may("cancel-order") && person.id !== "bob");
    });
    visitor.fine();
    await visitor.close();
  });
}
