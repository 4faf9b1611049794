-- +goose Up
CREATE TABLE db_turn (
    id BIGINT PRIMARY KEY
);
INSERT INTO db_turn (id) VALUES (1);
