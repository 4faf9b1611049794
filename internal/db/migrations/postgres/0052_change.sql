-- +goose Up
CREATE TABLE order_templates (
  name       TEXT PRIMARY KEY,
  document   TEXT NOT NULL, -- JSON
  changed_by TEXT NOT NULL,
  changed_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE order_templates;
