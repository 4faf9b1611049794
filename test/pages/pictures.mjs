// Takes the pictures of docs/pictures: the main pages in both themes.

import { mkdirSync } from "node:fs";
import { launch, site, Visitor } from "./browser.mjs";

const { story, hosts } = site;
const to = new URL("../../docs/pictures/", import.meta.url).pathname;

const pictures = {
  "sign-in": [null, "/sign-in"],
  today: ["carol", "/"],
  vulnerabilities: ["alice", "/vulnerabilities"],
  vulnerability: ["alice", "/vulnerabilities/CVE-2026-31990/postgresql-15"],
  decision: ["alice", `/decisions/${story.undecided}`],
  clocks: ["carol", "/clocks"],
  limits: ["alice", `/policies/${story.policies[1]}`],
  "review-queue": ["alice", "/sources", "#queue"],
  host: ["carol", `/hosts/${hosts["web-02"]}`],
  inventory: ["carol", "/hosts/estate"],
  record: ["carol", `/hosts/records/${story.inventory[0]}`],
  drift: ["carol", `/hosts/${hosts["web-02"]}?tab=drift`],
  repository: ["bob", "/repository"],
  changes: ["carol", "/changes"],
  approval: ["alice", `/changes/${story.waiting}`],
  rollout: ["carol", `/changes/${story.closed}`, "#rollout"],
  reconciliation: ["carol", `/changes/${story.investigated}/hosts/${hosts["web-02"]}`],
  investigation: ["alice", `/investigations/${story.investigation}`],
  suspicion: ["alice", `/suspicions/${story.suspicion}`],
  scan: ["alice", `/scans/${story.scan}`],
  reports: ["frank", "/reports"],
  ledger: ["frank", "/ledger"],
  people: ["erin", "/people"],
};

mkdirSync(to, { recursive: true });
const browser = await launch();
const people = {};
for (const [name, [who, path, at]] of Object.entries(pictures)) {
  const visitor = who ? (people[who] ??= await (await Visitor.open(browser)).signIn(who)) : await Visitor.open(browser);
  await visitor.go(path);
  for (const colorScheme of ["light", "dark"]) {
    await visitor.page.emulateMedia({ colorScheme });
    if (at) await visitor.page.locator(at).evaluate((e) => e.scrollIntoView());
    await visitor.page.mouse.move(1279, 0);
    await visitor.page.screenshot({ path: `${to}${name}-${colorScheme}.png` });
  }
  visitor.fine();
}
await browser.close();
