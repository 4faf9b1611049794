-- +goose Up
-- The number of the last change of a host that matters to lists and matching. Numbers grow in the order of commits.
ALTER TABLE hosts ADD COLUMN changed BIGINT NOT NULL DEFAULT 1;
CREATE INDEX hosts_changed ON hosts (changed);

-- +goose Down
DROP INDEX hosts_changed;
ALTER TABLE hosts DROP COLUMN changed;
