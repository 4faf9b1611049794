-- +goose Up
-- What the machine says of itself, by which a record of the inventory may be found to be about it; there with its next inventory.
ALTER TABLE hosts ADD COLUMN serial    TEXT NOT NULL DEFAULT '';
ALTER TABLE hosts ADD COLUMN addresses TEXT NOT NULL DEFAULT ''; -- one a line

-- What the agent takes: resident KiB, milliseconds of processor time, and in how many seconds.
ALTER TABLE hosts ADD COLUMN agent_memory  BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN agent_cpu     BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN agent_seconds BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE hosts DROP COLUMN agent_seconds;
ALTER TABLE hosts DROP COLUMN agent_cpu;
ALTER TABLE hosts DROP COLUMN agent_memory;
ALTER TABLE hosts DROP COLUMN addresses;
ALTER TABLE hosts DROP COLUMN serial;
