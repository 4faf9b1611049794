-- +goose Up
CREATE TABLE decisions (
  id            TEXT PRIMARY KEY,
  vulnerability TEXT NOT NULL,            -- ID/source
  scope         TEXT NOT NULL,
  kind          TEXT NOT NULL,
  until_at      BIGINT NOT NULL,          -- 0: no term
  payload       TEXT NOT NULL,            -- the signed bytes
  envelope      TEXT NOT NULL,            -- digest of the envelope, a blob
  decided_at    BIGINT NOT NULL,
  ended_at      BIGINT NOT NULL DEFAULT 0, -- 0: in force
  ended         TEXT NOT NULL DEFAULT ''   -- why
);
CREATE UNIQUE INDEX decisions_in_force ON decisions (vulnerability, scope) WHERE ended_at = 0;
CREATE INDEX decisions_vulnerability ON decisions (vulnerability, decided_at);

-- +goose Down
DROP TABLE decisions;
