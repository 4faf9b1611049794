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
    clocks: "/clocks",
    exceptions: "/exceptions",
    limits: "/policy",
    "limits, drafted": "/policy/draft?from=ncssr-2.0.5",
    hosts: "/hosts",
    "hosts, silent": "/hosts?state=silent",
    host: host("web-02"),
    "host, packages": `${host("web-02")}?tab=packages`,
    "host, file states": `${host("web-02")}?tab=files`,
    "host, system": `${host("web-02")}?tab=system`,
    "host, runs": `${host("web-02")}?tab=runs`,
    "host, record": `${host("web-02")}?tab=record`,
    "host, inventory": `${host("web-02")}?tab=inventory`,
    inventory: "/hosts/estate",
    groups: "/hosts/groups",
    builds: "/hosts/builds",
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
    ledger: "/ledger",
    "ledger, filtered": "/ledger?kind=order.",
    act: "/ledger/3",
    scans: "/scans",
    sources: "/sources",
    people: "/people",
    account: "/account",
  };
}

// offered are pages that only some may see.
export const offered = {
  assessment: ["/vulnerabilities/CVE-2026-26101/glibc/assessment", "decide"],
  "new order, stage": ["/changes/new", "propose-order"],
  "new order, production": ["/changes/new?kind=production", "propose-order"],
  "new order, back-out": ["/changes/new?kind=back-out", "propose-order"],
};
