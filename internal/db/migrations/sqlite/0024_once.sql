-- +goose Up
CREATE TABLE once_request (
    person TEXT NOT NULL,
    route TEXT NOT NULL,
    request_key TEXT NOT NULL,
    digest TEXT NOT NULL,
    answer TEXT NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (person, route, request_key)
);
CREATE INDEX once_request_until ON once_request (until);

-- +goose Down
DROP TABLE once_request;
