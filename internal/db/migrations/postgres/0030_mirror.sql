-- +goose Up
CREATE TABLE mirror_added (
  name         TEXT PRIMARY KEY, -- never used again, even after the upstream was removed
  url          TEXT NOT NULL,
  suite        TEXT NOT NULL,
  component    TEXT NOT NULL,
  arch         TEXT NOT NULL,
  keyring      TEXT NOT NULL,    -- sha256 of a blob
  fingerprints TEXT NOT NULL,    -- with spaces between them
  max_age      BIGINT NOT NULL,  -- microseconds
  advisories   TEXT NOT NULL,
  added_at     BIGINT NOT NULL,
  removed_at   BIGINT NOT NULL DEFAULT 0
);

-- +goose Down
DROP TABLE mirror_added;
