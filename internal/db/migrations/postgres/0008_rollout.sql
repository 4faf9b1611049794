-- +goose Up
CREATE TABLE rollout (
    order_id     TEXT PRIMARY KEY,
    order_digest TEXT NOT NULL,
    author       TEXT NOT NULL,
    envelope     TEXT NOT NULL,
    curation     TEXT NOT NULL,
    warranted    BIGINT NOT NULL,
    sequence     BIGINT NOT NULL,
    opens_at     BIGINT NOT NULL,
    closes_at    BIGINT NOT NULL,
    state        TEXT NOT NULL,
    budget       BIGINT NOT NULL,
    started_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL
);
CREATE INDEX rollout_state ON rollout (state);

CREATE TABLE rollout_run (
    order_id   TEXT NOT NULL REFERENCES rollout (order_id),
    host_id    TEXT NOT NULL,
    position   BIGINT NOT NULL,
    wave       BIGINT NOT NULL,
    state      TEXT NOT NULL,
    code       TEXT NOT NULL,
    offered_at BIGINT NOT NULL,
    begun_at   BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    report     TEXT NOT NULL,
    payload    TEXT NOT NULL,
    session    TEXT NOT NULL,
    seen_before TEXT NOT NULL,
    seen_after  TEXT NOT NULL,
    disputed   TEXT NOT NULL,
    PRIMARY KEY (order_id, host_id)
);
CREATE INDEX rollout_run_host ON rollout_run (host_id, state);

-- +goose Down
DROP TABLE rollout_run;
DROP TABLE rollout;
