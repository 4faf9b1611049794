-- +goose Up
-- A decision can be about many vulnerabilities: a row for each, under the decision's one ID.
CREATE TABLE decisions_each (
  id            TEXT NOT NULL,
  vulnerability TEXT NOT NULL,            -- ID/source
  scope         TEXT NOT NULL,
  kind          TEXT NOT NULL,
  until_at      BIGINT NOT NULL,          -- 0: no term
  payload       TEXT NOT NULL,            -- what is decided about this vulnerability
  signed        TEXT NOT NULL,            -- digest of the signed bytes; empty: they are the payload
  together      BIGINT NOT NULL,          -- vulnerabilities that the decision is about
  envelope      TEXT NOT NULL,            -- digest of the envelope, a blob
  decided_at    BIGINT NOT NULL,
  ended_at      BIGINT NOT NULL DEFAULT 0, -- 0: in force
  ended         TEXT NOT NULL DEFAULT '',  -- why
  changed       BIGINT NOT NULL DEFAULT 1,
  PRIMARY KEY (id, vulnerability)
);
INSERT INTO decisions_each SELECT id, vulnerability, scope, kind, until_at, payload, '', 1, envelope, decided_at, ended_at, ended, changed FROM decisions;
DROP TABLE decisions;
ALTER TABLE decisions_each RENAME TO decisions;
CREATE UNIQUE INDEX decisions_in_force ON decisions (vulnerability, scope) WHERE ended_at = 0;
CREATE INDEX decisions_vulnerability ON decisions (vulnerability, decided_at);
CREATE INDEX decisions_changed ON decisions (changed);

-- +goose Down
ALTER TABLE decisions DROP COLUMN together;
ALTER TABLE decisions DROP COLUMN signed;
