-- +goose Up
CREATE TABLE job_lease (
    id BIGINT PRIMARY KEY,
    holder TEXT NOT NULL,
    until BIGINT NOT NULL
);
INSERT INTO job_lease (id, holder, until) VALUES (1, '', 0);
