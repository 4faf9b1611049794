-- +goose Up
CREATE TABLE sources (
  name         TEXT PRIMARY KEY,
  digest       TEXT NOT NULL,             -- the bytes in force, a blob; empty before the first
  origin       TEXT NOT NULL,             -- where they were fetched from
  bytes        BIGINT NOT NULL,
  counts       TEXT NOT NULL,             -- JSON: statements by release, signals under the empty name
  received_at  BIGINT NOT NULL,           -- when the bytes in force came
  checked_at   BIGINT NOT NULL,           -- when the source was last heard, changed or not
  due_at       BIGINT NOT NULL,           -- silent after that
  silent_at    BIGINT NOT NULL DEFAULT 0, -- since when silent
  refused_at   BIGINT NOT NULL DEFAULT 0, -- the last receipt was refused then
  refused      TEXT NOT NULL DEFAULT ''   -- why
);

CREATE TABLE advisories (
  source        TEXT NOT NULL,
  id            TEXT NOT NULL,
  revision      TEXT NOT NULL,             -- digest of what the source states about it; empty: it no longer does
  first_at      BIGINT NOT NULL,
  revised_at    BIGINT NOT NULL,
  review_due_at BIGINT NOT NULL,           -- 0: no review is due
  review        TEXT NOT NULL DEFAULT '',  -- relevant or irrelevant
  reviewed_by   TEXT NOT NULL DEFAULT '',
  reviewed_at   BIGINT NOT NULL DEFAULT 0,
  review_reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (source, id)
);
CREATE INDEX advisories_review_due ON advisories (review_due_at, source, id);

-- +goose Down
DROP TABLE advisories;
DROP TABLE sources;
