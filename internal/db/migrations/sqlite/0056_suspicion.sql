-- +goose Up
-- Vulnerabilities that somebody here suspects, and the findings of penetration tests.
CREATE TABLE suspicions (
  id           TEXT PRIMARY KEY,
  reporter     TEXT NOT NULL,            -- person ID
  claim        TEXT NOT NULL,            -- JSON: what, where, how noticed
  evidence     TEXT NOT NULL,            -- JSON: name, size and digest of what is attached; empty: nothing
  finding      TEXT NOT NULL,            -- JSON: of which penetration test; empty: of none
  owner        TEXT NOT NULL DEFAULT '', -- person ID of a CIRT analyst; empty: nobody's yet
  reported_at  BIGINT NOT NULL,
  due_at       BIGINT NOT NULL,          -- of the answer
  unowned_at   BIGINT NOT NULL DEFAULT 0, -- when it was told that nobody had taken it
  overdue_at   BIGINT NOT NULL DEFAULT 0,
  escalated_at BIGINT NOT NULL DEFAULT 0,
  answered_at  BIGINT NOT NULL DEFAULT 0,
  answer       TEXT NOT NULL DEFAULT ''  -- JSON: the last one
);
CREATE INDEX suspicions_open ON suspicions (answered_at, due_at);
CREATE INDEX suspicions_reporter ON suspicions (reporter, id);
CREATE INDEX suspicions_owner ON suspicions (owner, answered_at);

CREATE TABLE suspicion_evidence (
  suspicion TEXT PRIMARY KEY,
  content   BLOB NOT NULL -- private: no blob, which everyone who audits may fetch
);

CREATE TABLE suspicion_steps (
  suspicion TEXT NOT NULL,
  n         BIGINT NOT NULL,
  at        BIGINT NOT NULL,
  who       TEXT NOT NULL,
  what      TEXT NOT NULL, -- the act
  detail    TEXT NOT NULL, -- JSON
  PRIMARY KEY (suspicion, n)
);

-- Vulnerabilities with an identifier of our own.
CREATE TABLE own_vulnerabilities (
  id        TEXT PRIMARY KEY,
  year      BIGINT NOT NULL,
  n         BIGINT NOT NULL,
  suspicion TEXT NOT NULL,
  entry     TEXT NOT NULL -- JSON
);
CREATE UNIQUE INDEX own_vulnerabilities_number ON own_vulnerabilities (year, n);
CREATE UNIQUE INDEX own_vulnerabilities_suspicion ON own_vulnerabilities (suspicion);

-- Reports of penetration tests whose findings became suspicions.
CREATE TABLE suspicion_reports (
  report TEXT PRIMARY KEY
);

-- +goose Down
DROP TABLE suspicion_reports;
DROP TABLE own_vulnerabilities;
DROP TABLE suspicion_steps;
DROP TABLE suspicion_evidence;
DROP TABLE suspicions;
