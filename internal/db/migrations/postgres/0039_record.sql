-- +goose Up
CREATE TABLE records (
  id          TEXT PRIMARY KEY,
  hostname    TEXT NOT NULL,      -- unique among those not dropped
  host        TEXT NOT NULL,      -- the enrolled host it is about; empty: none
  zone        TEXT NOT NULL,
  environment TEXT NOT NULL,
  owner       TEXT NOT NULL,
  unit        TEXT NOT NULL,
  criticality TEXT NOT NULL,
  exposure    TEXT NOT NULL,
  build       TEXT NOT NULL,
  search      TEXT NOT NULL,      -- hostname and serial number in lower case
  fields      TEXT NOT NULL,      -- all of them, as JSON
  revision    BIGINT NOT NULL,
  changed_at  BIGINT NOT NULL,
  dropped_at  BIGINT NOT NULL,    -- 0: it is in the inventory
  changed     BIGINT NOT NULL     -- grows with each change of any record, in the order of commits
);
CREATE UNIQUE INDEX records_hostname ON records (hostname) WHERE dropped_at = 0;
CREATE UNIQUE INDEX records_host ON records (host) WHERE dropped_at = 0 AND host <> '';
CREATE INDEX records_changed ON records (changed);

-- +goose Down
DROP TABLE records;
