-- +goose Up
-- Retired hosts that spoke are few, and every look at what alarms asks for them.
CREATE INDEX hosts_spoke ON hosts (spoke_at) WHERE spoke_at > 0;

-- +goose Down
DROP INDEX hosts_spoke;
