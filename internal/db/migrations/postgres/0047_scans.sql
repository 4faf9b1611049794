-- +goose Up
CREATE TABLE scanners (
  name      TEXT PRIMARY KEY,
  heard_at  BIGINT NOT NULL,          -- when its last new report was imported
  due_at    BIGINT NOT NULL,          -- silent after that
  silent_at BIGINT NOT NULL DEFAULT 0 -- since when silent
);

CREATE TABLE scan_reports (
  id              TEXT PRIMARY KEY,
  digest          TEXT NOT NULL,   -- its bytes, a blob
  about           TEXT NOT NULL,   -- the host it is about, given by who imported it; empty: it says that itself
  format          TEXT NOT NULL,
  scanner         TEXT NOT NULL,
  version         TEXT NOT NULL,
  origin          TEXT NOT NULL,   -- where the bytes came from
  bytes           BIGINT NOT NULL,
  imported_by     TEXT NOT NULL,
  imported_at     BIGINT NOT NULL,
  taken_at        BIGINT NOT NULL, -- when the scan ended; 0: not said
  records         BIGINT NOT NULL, -- read
  accepted        BIGINT NOT NULL,
  refused         TEXT NOT NULL,   -- JSON: records by reason
  findings        BIGINT NOT NULL,
  vulnerabilities BIGINT NOT NULL, -- distinct
  hosts           BIGINT NOT NULL,
  unknown_hosts   BIGINT NOT NULL
);
CREATE UNIQUE INDEX scan_reports_digest ON scan_reports (digest, about);
CREATE INDEX scan_reports_imported ON scan_reports (imported_at, id);

CREATE TABLE scan_hosts (
  report        TEXT NOT NULL,
  n             BIGINT NOT NULL,
  name          TEXT NOT NULL,           -- as the scanner names it
  names         TEXT NOT NULL,           -- JSON: other names, addresses, MACs
  scanner       TEXT NOT NULL,
  credentialed  BIGINT NOT NULL,
  taken_at      BIGINT NOT NULL,
  host          TEXT NOT NULL,           -- ours; empty: not in the inventory
  package_set   TEXT NOT NULL,           -- of the host when the report was imported
  findings      BIGINT NOT NULL,
  superseded_by TEXT NOT NULL DEFAULT '', -- the newer report; its findings are in the report's bytes only
  PRIMARY KEY (report, n)
);
CREATE INDEX scan_hosts_host ON scan_hosts (host, scanner);
CREATE INDEX scan_hosts_name ON scan_hosts (name, scanner);

-- What the newest report of each scanner says about each host.
CREATE TABLE scan_findings (
  report   TEXT NOT NULL,
  n        BIGINT NOT NULL,  -- of the host in the report
  id       TEXT NOT NULL,    -- CVE, else advisory, else the scanner's check
  source   TEXT NOT NULL,    -- source package; "unknown" where the report names no package
  banner   BIGINT NOT NULL,
  claim    TEXT NOT NULL,
  package  TEXT NOT NULL,    -- as the scanner names it
  version  TEXT NOT NULL,
  fixed    TEXT NOT NULL,
  severity TEXT NOT NULL,
  vector   TEXT NOT NULL,
  plugin   TEXT NOT NULL,
  title    TEXT NOT NULL,
  records  BIGINT NOT NULL,  -- so many of the report say it
  PRIMARY KEY (report, n, id, source, banner, claim)
);
CREATE INDEX scan_findings_vulnerability ON scan_findings (id, source);

-- +goose Down
DROP TABLE scan_findings;
DROP TABLE scan_hosts;
DROP TABLE scan_reports;
DROP TABLE scanners;
