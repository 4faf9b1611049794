-- +goose Up
ALTER TABLE hosts ADD COLUMN retired_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN spoke_at   BIGINT NOT NULL DEFAULT 0; -- when one that is retired was last told of as speaking
ALTER TABLE hosts ADD COLUMN scanned_at BIGINT NOT NULL DEFAULT 0; -- when its files were last looked at whole

CREATE TABLE retirements (
  id         TEXT PRIMARY KEY,
  host       TEXT NOT NULL,
  state      TEXT NOT NULL,
  payload    TEXT NOT NULL,            -- what people sign
  envelope   TEXT NOT NULL DEFAULT '', -- digest of the signed document, once in force
  expires_at BIGINT NOT NULL,
  ended_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX retirements_host ON retirements (host);
CREATE INDEX retirements_state ON retirements (state);

CREATE TABLE retirement_signatures (
  retirement TEXT NOT NULL,
  position   BIGINT NOT NULL,
  person     TEXT NOT NULL,
  signed_at  BIGINT NOT NULL,
  signature  TEXT NOT NULL,            -- JSON
  PRIMARY KEY (retirement, position)
);

CREATE TABLE silences (
  host         TEXT NOT NULL,
  clock        TEXT NOT NULL,
  since        BIGINT NOT NULL,            -- what was last heard
  alarmed_at   BIGINT NOT NULL,
  escalated_at BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (host, clock)
);
CREATE INDEX hosts_facts ON hosts (facts_at);
CREATE INDEX hosts_index ON hosts (index_at);
CREATE INDEX hosts_scanned ON hosts (scanned_at);

-- What is told once a day, and when it was last told.
CREATE TABLE estate_daily (
  what TEXT PRIMARY KEY,
  day  TEXT NOT NULL
);

-- +goose Down
DROP TABLE estate_daily;
DROP INDEX hosts_scanned;
DROP INDEX hosts_index;
DROP INDEX hosts_facts;
DROP TABLE silences;
DROP TABLE retirement_signatures;
DROP TABLE retirements;
ALTER TABLE hosts DROP COLUMN scanned_at;
ALTER TABLE hosts DROP COLUMN spoke_at;
ALTER TABLE hosts DROP COLUMN retired_at;
