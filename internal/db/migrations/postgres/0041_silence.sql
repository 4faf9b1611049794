-- +goose Up
-- The vulnerabilities planted to see that one would be found, one a day.
CREATE TABLE canaries (
  day        TEXT PRIMARY KEY,
  id         TEXT NOT NULL,
  host       TEXT NOT NULL,
  seed       TEXT NOT NULL,
  planted_at BIGINT NOT NULL,
  found_at   BIGINT NOT NULL,
  lost_at    BIGINT NOT NULL
);

-- What is wrong with the server itself; no row: nothing is.
CREATE TABLE server_ails (
  what  TEXT PRIMARY KEY,
  why   TEXT NOT NULL,
  since BIGINT NOT NULL
);

-- +goose Down
DROP TABLE server_ails;
DROP TABLE canaries;
