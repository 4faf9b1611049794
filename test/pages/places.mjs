// Every page of a site, by name.

import { site } from "./browser.mjs";

export function places(at = site) {
  const { story, hosts } = at;
  const host = (name) => `/hosts/${hosts[name]}`;
  return {
    today: "/",
    vulnerabilities: "/vulnerabilities",
    "vulnerabilities, searched": "/vulnerabilities?q=openssl&state=affected&sort=hosts",
    "vulnerabilities, nothing": "/vulnerabilities?q=no-such-thing",
    vulnerability: "/vulnerabilities/CVE-2026-33019/curl",
    "vulnerability, undecided": "/vulnerabilities/CVE-2026-26101/glibc",
    "vulnerability, assessed": "/vulnerabilities/CVE-2026-31990/postgresql-15",
    "vulnerability, waiting": "/vulnerabilities/CVE-2025-40022/postfix",
    decision: `/decisions/${story.undecided}`,
    clocks: "/clocks",
    exceptions: "/exceptions",
    limits: "/policy",
    "limits, drafted": "/policy/draft?from=ncssr-2.0.5",
    "limits, signed": `/policies/${story.policies[0]}`,
    "limits, proposed": `/policies/${story.policies[1]}`,
    hosts: "/hosts",
    "hosts, silent": "/hosts?state=silent",
    "hosts of a group": "/hosts?group=exposed",
    host: host("web-02"),
    "host, packages": `${host("web-02")}?tab=packages`,
    "host, file states": `${host("web-02")}?tab=files`,
    "host, system": `${host("web-02")}?tab=system`,
    "host, runs": `${host("web-02")}?tab=runs`,
    "host, record": `${host("web-02")}?tab=record`,
    "host, inventory": `${host("web-02")}?tab=inventory`,
    inventory: "/hosts/estate",
    "record of a host": `/hosts/records/${story.inventory[0]}`,
    "record without a host": `/hosts/records/${story.inventory[1]}`,
    retirement: `/hosts/retirements/${story.retirement}`,
    groups: "/hosts/groups",
    "templates of orders": "/changes/templates",
    builds: "/hosts/builds",
    build: "/hosts/builds/web-base",
    "host, drift": `${host("web-02")}?tab=drift`,
    "host, silent": host("batch-07"),
    repository: "/repository",
    "snapshot, signed": `/repository/snapshots/${story.records[0]}`,
    "snapshot, proposed": `/repository/snapshots/${story.records[2]}`,
    "snapshots compared": `/repository/compare?a=${story.records[0]}&b=${story.records[1]}`,
    changes: "/changes",
    "order, stage": `/changes/${story.stage}`,
    "order, closed": `/changes/${story.closed}`,
    "order, investigated": `/changes/${story.investigated}`,
    "order, proposed": `/changes/${story.waiting}`,
    "host reconciled": `/changes/${story.investigated}/hosts/${hosts["web-02"]}`,
    investigations: "/investigations",
    investigation: `/investigations/${story.investigation}`,
    reports: "/reports",
    "reports, a year": "/reports?days=365",
    "reports by zone": "/reports?by=zone",
    ledger: "/ledger",
    "ledger, filtered": "/ledger?kind=order.",
    act: "/ledger/3",
    scans: "/scans",
    scan: `/scans/${story.scan}`,
    "scan, of one host": `/scans/${story.scan}?q=openssl`,
    suspicions: "/suspicions",
    suspicion: `/suspicions/${story.suspicion}`,
    sources: "/sources",
    people: "/people",
    "duties nobody has": "/people/duties",
    account: "/account",
  };
}

// elsewhere are routes that these places leave out: what comes before there is a session or a trust root, which
// first.test.mjs and door.test.mjs go through, and what is no page.
const elsewhere = ["/sign-in", "/sign-in/providers/{id}", "/sign-in/provider/{id}", "/setup", "/setup/progress", "/setup/upstreams", "/setup/findings/{id}",
  "/join", "/join/progress", "/search", "/policy/statement.txt", "/hosts/inventory.csv", "/hosts/inventory.json", "/hosts/arrivals/{name}",
  "/suspicions/{id}/evidence", "/changes/{id}/order.txt", "/changes/{id}/rollout", "/facts/{id}"];

// forgotten are routes of pages that no place leads to. The most exact route serves a path, as in the server.
export function forgotten(routes, paths) {
  const pages = routes.filter((r) => r.method === "GET").map((r) => r.path);
  const exactness = (path) => path.split("/").map((part) => (part.startsWith("{") ? "1" : "0")).join("");
  const pattern = (path) => new RegExp(`^${path.replace("{$}", "").replaceAll(/\{\w+\}/g, "[^/]+").replaceAll(".", "\\.")}$`);
  const served = (path) => pages.filter((page) => pattern(page).test(path.split("?")[0])).sort((a, b) => exactness(a).localeCompare(exactness(b)))[0];
  const met = new Set([...paths.map(served), ...elsewhere]);
  return pages.filter((page) => !met.has(page));
}

// offered are pages that only some may see.
export const offered = {
  assessment: ["/vulnerabilities/CVE-2026-26101/glibc/assessment", "decide"],
  "decision about several": ["/decisions/new?vulnerability=CVE-2026-26101/glibc&vulnerability=CVE-2026-33019/curl", "decide"],
  "new order, stage": ["/changes/new", "propose-order"],
  "new order, production": ["/changes/new?kind=production", "propose-order"],
  "new order, back-out": ["/changes/new?kind=back-out", "propose-order"],
};
