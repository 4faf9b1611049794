-- +goose Up
-- Decisions with one signature that need two.
CREATE TABLE waiting_decisions (
  id            TEXT PRIMARY KEY,
  vulnerability TEXT NOT NULL,   -- ID/source
  envelope      TEXT NOT NULL,   -- JSON
  made_at       BIGINT NOT NULL
);

-- +goose Down
DROP TABLE waiting_decisions;
