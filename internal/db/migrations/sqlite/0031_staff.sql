-- +goose Up
CREATE TABLE staff_invitation (
    secret TEXT PRIMARY KEY, -- sha256
    person TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE staff_invitation;
