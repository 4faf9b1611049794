-- +goose Up
CREATE TABLE change_sequence (
    id   BIGINT PRIMARY KEY,
    last BIGINT NOT NULL
);
INSERT INTO change_sequence (id, last) VALUES (1, 0);

CREATE TABLE change_order (
    order_id      TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,
    of_order      TEXT NOT NULL,
    payload       BLOB NOT NULL,
    curation      TEXT NOT NULL,
    sequence      BIGINT NOT NULL UNIQUE,
    state         TEXT NOT NULL,
    envelope      TEXT NOT NULL,
    manifest      TEXT NOT NULL,
    result        TEXT NOT NULL,
    ended_at      BIGINT NOT NULL
);
CREATE INDEX change_order_state ON change_order (state);

CREATE TABLE change_signature (
    order_id  TEXT NOT NULL REFERENCES change_order (order_id),
    person    TEXT NOT NULL,
    position  BIGINT NOT NULL,
    signed_at BIGINT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (order_id, person)
);

-- +goose Down
DROP TABLE change_signature;
DROP TABLE change_order;
DROP TABLE change_sequence;
