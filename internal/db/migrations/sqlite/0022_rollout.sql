-- +goose Up
CREATE INDEX rollout_run_position ON rollout_run (order_id, position);
CREATE INDEX rollout_run_state ON rollout_run (order_id, state, position);

-- +goose Down
DROP INDEX rollout_run_state;
DROP INDEX rollout_run_position;
