-- +goose Up
CREATE TABLE mirror_upstream (
  name         TEXT PRIMARY KEY,
  release      TEXT NOT NULL DEFAULT '', -- sha256 of InRelease, a blob; empty: never accepted
  text_digest  TEXT NOT NULL DEFAULT '', -- sha256 of the text that was signed
  index_digest TEXT NOT NULL DEFAULT '', -- sha256 of the index file, a blob
  index_path   TEXT NOT NULL DEFAULT '', -- its path in the release file
  released_at  BIGINT NOT NULL DEFAULT 0,
  valid_until  BIGINT NOT NULL DEFAULT 0,
  fingerprint  TEXT NOT NULL DEFAULT '',
  packages     BIGINT NOT NULL DEFAULT 0,
  accepted_at  BIGINT NOT NULL DEFAULT 0, -- when this release was accepted
  seen_at      BIGINT NOT NULL DEFAULT 0, -- when upstream last showed something acceptable
  refused_at   BIGINT NOT NULL DEFAULT 0, -- since when upstream is refused; 0: it is not
  refused_code TEXT NOT NULL DEFAULT '',
  refused_why  TEXT NOT NULL DEFAULT ''
);

-- +goose Down
DROP TABLE mirror_upstream;
