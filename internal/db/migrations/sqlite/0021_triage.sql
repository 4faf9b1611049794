-- +goose Up
-- The number of the last change of a decision. Numbers grow in the order of commits.
ALTER TABLE decisions ADD COLUMN changed BIGINT NOT NULL DEFAULT 1;
CREATE INDEX decisions_changed ON decisions (changed);

-- +goose Down
DROP INDEX decisions_changed;
ALTER TABLE decisions DROP COLUMN changed;
