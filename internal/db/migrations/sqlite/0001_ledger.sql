-- +goose Up
CREATE TABLE ledger_head (
    id BIGINT PRIMARY KEY,
    size BIGINT NOT NULL
);
INSERT INTO ledger_head (id, size) VALUES (1, 0);
CREATE TABLE ledger_act (
    idx BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    entry BLOB NOT NULL
);
CREATE INDEX ledger_act_subject ON ledger_act (subject, idx);
CREATE INDEX ledger_act_kind ON ledger_act (kind, idx);
CREATE TABLE ledger_hash (
    id BIGINT PRIMARY KEY,
    hash BLOB NOT NULL
);
CREATE TABLE ledger_checkpoint (
    id BIGINT PRIMARY KEY,
    note TEXT NOT NULL
);
INSERT INTO ledger_checkpoint (id, note) VALUES (1, '');
