-- +goose Up
CREATE TABLE setup_document (
    id BIGINT PRIMARY KEY,      -- 1
    organisation TEXT NOT NULL,
    payload TEXT NOT NULL,      -- what people sign; empty while it is being prepared
    made_at BIGINT NOT NULL
);
CREATE TABLE setup_candidate (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    mail TEXT NOT NULL,
    roles TEXT NOT NULL,        -- with spaces between them
    ssh TEXT NOT NULL,          -- keys, as JSON
    named_at BIGINT NOT NULL
);
CREATE TABLE setup_signature (
    key_id TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    signature TEXT NOT NULL,    -- as JSON
    made_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE setup_signature;
DROP TABLE setup_candidate;
DROP TABLE setup_document;
