-- +goose Up
CREATE TABLE curation_record (
  record       TEXT PRIMARY KEY, -- sha256 of the payload that people sign, a blob
  snapshot     TEXT NOT NULL,
  author       TEXT NOT NULL,
  made_at      BIGINT NOT NULL,
  index_digest TEXT NOT NULL,    -- Packages, a blob
  index_size   BIGINT NOT NULL,
  packed       TEXT NOT NULL,    -- Packages.gz, a blob
  packed_size  BIGINT NOT NULL,
  arches       TEXT NOT NULL,    -- between spaces
  envelope     TEXT NOT NULL DEFAULT '', -- sha256 of the envelope with its quorum, a blob
  signed_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX curation_record_snapshot ON curation_record (snapshot, signed_at);

CREATE TABLE curation_signature (
  record    TEXT NOT NULL REFERENCES curation_record (record),
  person    TEXT NOT NULL,
  signature TEXT NOT NULL, -- JSON
  signed_at BIGINT NOT NULL,
  PRIMARY KEY (record, person)
);

CREATE TABLE curation_file ( -- what signed snapshots let the repository serve
  file       TEXT PRIMARY KEY, -- pool/… or by-hash/DIGEST
  sha256     TEXT NOT NULL,
  size       BIGINT NOT NULL,
  damaged_at BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE curation_promotion (
  channel     TEXT NOT NULL,
  version     BIGINT NOT NULL,
  snapshot    TEXT NOT NULL,
  promoted_by TEXT NOT NULL,
  promoted_at BIGINT NOT NULL,
  PRIMARY KEY (channel, version)
);

CREATE TABLE curation_publication (
  suite       TEXT PRIMARY KEY, -- a channel, or snapshots/DIGEST
  record      TEXT NOT NULL,
  version     BIGINT NOT NULL,
  release     TEXT NOT NULL,    -- InRelease, a blob
  size        BIGINT NOT NULL,
  signed_at   BIGINT NOT NULL,
  valid_until BIGINT NOT NULL
);

-- +goose Down
DROP TABLE curation_publication;
DROP TABLE curation_promotion;
DROP TABLE curation_file;
DROP TABLE curation_signature;
DROP TABLE curation_record;
