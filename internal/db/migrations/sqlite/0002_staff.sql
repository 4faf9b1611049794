-- +goose Up
CREATE TABLE staff_root (
    version BIGINT PRIMARY KEY,
    digest TEXT NOT NULL,
    envelope TEXT NOT NULL,
    installed_at BIGINT NOT NULL
);
CREATE TABLE staff_secret (
    id BIGINT PRIMARY KEY,
    secret BLOB NOT NULL
);
CREATE TABLE staff_answered (
    challenge TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE TABLE staff_session (
    token TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    key_id TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX staff_session_person ON staff_session (person);
CREATE TABLE staff_refused (
    who TEXT PRIMARY KEY,
    since BIGINT NOT NULL,
    uncounted BIGINT NOT NULL
);
