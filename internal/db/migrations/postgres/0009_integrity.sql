-- +goose Up
CREATE TABLE integrity_contents (
    package  TEXT PRIMARY KEY,
    contents TEXT NOT NULL
);

CREATE TABLE integrity_manifest (
    order_id TEXT PRIMARY KEY,
    manifest TEXT NOT NULL,
    made_at  BIGINT NOT NULL
);

CREATE TABLE integrity_report (
    order_id TEXT NOT NULL,
    host_id  TEXT NOT NULL,
    input    TEXT NOT NULL,
    report   TEXT NOT NULL,
    counts   TEXT NOT NULL,
    made_at  BIGINT NOT NULL,
    PRIMARY KEY (order_id, host_id)
);

CREATE TABLE integrity_investigation (
    id          TEXT PRIMARY KEY,
    order_id    TEXT NOT NULL,
    host_id     TEXT NOT NULL,
    report      TEXT NOT NULL,
    state       TEXT NOT NULL,
    opened_at   BIGINT NOT NULL,
    due_at      BIGINT NOT NULL,
    overdue_at  BIGINT NOT NULL,
    severity    TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    reason      TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    resolved_by TEXT NOT NULL,
    resolved_at BIGINT NOT NULL,
    UNIQUE (order_id, host_id)
);
CREATE INDEX integrity_investigation_state ON integrity_investigation (state, due_at);

-- +goose Down
DROP TABLE integrity_investigation;
DROP TABLE integrity_report;
DROP TABLE integrity_manifest;
DROP TABLE integrity_contents;
