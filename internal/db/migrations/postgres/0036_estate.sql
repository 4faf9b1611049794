-- +goose Up
-- Which source each package came from, and the roots beside / that have packages of their own, as JSON by path.
ALTER TABLE hosts ADD COLUMN origins TEXT NOT NULL DEFAULT '';
ALTER TABLE hosts ADD COLUMN roots TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE hosts DROP COLUMN roots;
ALTER TABLE hosts DROP COLUMN origins;
