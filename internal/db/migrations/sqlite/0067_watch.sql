-- +goose Up
CREATE TABLE watch_host (
    host_id TEXT PRIMARY KEY,
    trees   TEXT NOT NULL,   -- the file state up to which all changes have been judged
    orders  TEXT NOT NULL    -- the newest of its orders whose changes were set aside
);
CREATE INDEX integrity_investigation_host ON integrity_investigation (host_id, state);

-- +goose Down
DROP INDEX integrity_investigation_host;
DROP TABLE watch_host;
