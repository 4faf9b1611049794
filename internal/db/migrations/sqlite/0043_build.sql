-- +goose Up
CREATE TABLE builds (
  name          TEXT PRIMARY KEY,
  release       TEXT NOT NULL,
  package_set   TEXT NOT NULL, -- digest
  origin        TEXT NOT NULL, -- host/ID or file/SHA-256
  days          BIGINT NOT NULL,
  registered_by TEXT NOT NULL,
  registered_at BIGINT NOT NULL,
  judged_at     BIGINT NOT NULL,
  findings      TEXT NOT NULL  -- JSON: what affects it, and since when
);

-- +goose Down
DROP TABLE builds;
