-- +goose Up
-- Who owns what has no owner in its own room.
CREATE TABLE duty_owners (
  subject TEXT PRIMARY KEY, -- source/NAME, group/NAME, investigation/ID, policy/VERSION
  owner   TEXT NOT NULL,    -- person ID
  since   BIGINT NOT NULL
);

-- The days on which the duties without an owner were told.
CREATE TABLE duty_days (
  day TEXT PRIMARY KEY
);

-- Owners of records are counted, not listed.
CREATE INDEX records_owner ON records (dropped_at, host, owner);

-- +goose Down
DROP INDEX records_owner;
DROP TABLE duty_days;
DROP TABLE duty_owners;
