-- +goose Up
-- The newest file states that a host reported, from when each was first seen. These are facts: no act goes with them.
CREATE TABLE host_state (
  host     TEXT NOT NULL,
  tree     TEXT NOT NULL,   -- path of its top
  digest   TEXT NOT NULL,
  first_at BIGINT NOT NULL,
  PRIMARY KEY (host, tree, first_at)
);

-- +goose Down
DROP TABLE host_state;
