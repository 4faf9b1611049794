-- +goose Up
CREATE TABLE hosts (
  id                 TEXT PRIMARY KEY,
  name               TEXT NOT NULL,
  reported_name      TEXT NOT NULL,
  environment        TEXT NOT NULL,
  cert               TEXT NOT NULL,            -- sha256 of the certificate in use
  next_cert          TEXT NOT NULL DEFAULT '', -- sha256 of a renewed one, not yet used
  cert_expires_at    BIGINT NOT NULL,
  report_key         TEXT NOT NULL,            -- registered at enrolment; empty: observe-only
  seen_report_key    TEXT NOT NULL,            -- what the host last said it is
  enrolled_at        BIGINT NOT NULL,
  counter            BIGINT NOT NULL,
  cloned_at          BIGINT NOT NULL DEFAULT 0,
  last_seen_at       BIGINT NOT NULL,
  silent_at          BIGINT NOT NULL DEFAULT 0,
  facts_at           BIGINT NOT NULL DEFAULT 0, -- when the facts below were last taken over
  package_set        TEXT NOT NULL DEFAULT '',
  inventory          TEXT NOT NULL DEFAULT '',
  trees              TEXT NOT NULL DEFAULT '{}',
  distribution       TEXT NOT NULL DEFAULT '',
  release            TEXT NOT NULL DEFAULT '',
  arch               TEXT NOT NULL DEFAULT '',
  kernel_running     TEXT NOT NULL DEFAULT '',
  kernel_version     TEXT NOT NULL DEFAULT '',
  reboot_required    BIGINT NOT NULL DEFAULT 0,
  index_at           BIGINT NOT NULL DEFAULT 0,
  log_size           BIGINT NOT NULL DEFAULT 0,
  log_root           TEXT NOT NULL DEFAULT '',
  trust_root_version BIGINT NOT NULL DEFAULT 0,
  agent_version      TEXT NOT NULL DEFAULT '',
  alarm              TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX hosts_cert ON hosts (cert);
CREATE INDEX hosts_next_cert ON hosts (next_cert);
CREATE INDEX hosts_last_seen ON hosts (last_seen_at);

CREATE TABLE enrolment_tokens (
  hash        TEXT PRIMARY KEY, -- sha256 of the token
  name        TEXT NOT NULL,
  environment TEXT NOT NULL,
  host        TEXT NOT NULL,    -- the host to enrol again; empty: a new one
  made_by     TEXT NOT NULL,
  made_at     BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  used_at     BIGINT NOT NULL DEFAULT 0,
  used_for    TEXT NOT NULL DEFAULT ''
);

CREATE TABLE package_sets (
  digest        TEXT PRIMARY KEY, -- the set itself is a blob
  packages      BIGINT NOT NULL,
  first_seen_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE package_sets;
DROP TABLE enrolment_tokens;
DROP TABLE hosts;
