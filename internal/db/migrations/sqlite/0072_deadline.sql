-- +goose Up
-- Every look at Today counts the clocks that run.
CREATE INDEX clocks_count ON clocks (running, clock, due_at);

-- +goose Down
DROP INDEX clocks_count;
