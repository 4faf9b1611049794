-- +goose Up
CREATE TABLE saved_view (
  id     TEXT PRIMARY KEY,
  person TEXT NOT NULL,
  list   TEXT NOT NULL,   -- vulnerabilities, hosts, changes
  name   TEXT NOT NULL,
  query  TEXT NOT NULL,   -- as in an address, canonical
  shared BIGINT NOT NULL, -- 1: with all
  made_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX saved_view_name ON saved_view (person, list, name);
CREATE INDEX saved_view_list ON saved_view (list, shared);

-- +goose Down
DROP TABLE saved_view;
