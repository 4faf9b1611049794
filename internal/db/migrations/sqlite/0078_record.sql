-- +goose Up
-- Only what is in the inventory: the whole index drew the list by hostname away from its own.
DROP INDEX records_owner;
CREATE INDEX records_owner ON records (host, owner) WHERE dropped_at = 0;

-- +goose Down
DROP INDEX records_owner;
CREATE INDEX records_owner ON records (dropped_at, host, owner);
