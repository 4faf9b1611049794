-- +goose Up
DROP TABLE staff_session;
CREATE TABLE staff_session (
    token TEXT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    person TEXT NOT NULL,
    way TEXT NOT NULL,
    key_id TEXT NOT NULL,
    address TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX staff_session_person ON staff_session (person);
CREATE TABLE staff_token (
    token TEXT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    person TEXT NOT NULL,
    name TEXT NOT NULL,
    actions TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX staff_token_person ON staff_token (person);
CREATE TABLE staff_link (
    id BIGINT PRIMARY KEY,
    secret TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE TABLE staff_passkey (
    id TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    name TEXT NOT NULL,
    public_key TEXT NOT NULL,
    aaguid TEXT NOT NULL,
    attestation TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    taken_at BIGINT NOT NULL
);
CREATE TABLE staff_account (
    person TEXT PRIMARY KEY,
    since BIGINT NOT NULL,
    reviewed_at BIGINT NOT NULL,
    reviewed_by TEXT NOT NULL,
    review_alarm_at BIGINT NOT NULL,
    notice_at BIGINT NOT NULL,
    notice_by TEXT NOT NULL,
    notice_why TEXT NOT NULL,
    notice_alarm_at BIGINT NOT NULL
);
