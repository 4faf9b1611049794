-- +goose Up
-- A fleet that lost its network is a hundred thousand silences: counted, and the worst of them listed, without a sort.
CREATE INDEX silences_clock ON silences (clock);
CREATE INDEX silences_worst ON silences ((CASE WHEN escalated_at > 0 THEN 0 ELSE 1 END), since, host);

-- +goose Down
DROP INDEX silences_worst;
DROP INDEX silences_clock;
