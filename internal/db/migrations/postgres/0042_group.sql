-- +goose Up
CREATE TABLE host_groups (
  name       TEXT PRIMARY KEY,
  expression TEXT NOT NULL,
  note       TEXT NOT NULL,
  changed_by TEXT NOT NULL,
  changed_at BIGINT NOT NULL,
  dropped    BIGINT NOT NULL,
  changed    BIGINT NOT NULL -- grows with each change of any group, in the order of commits
);

-- +goose Down
DROP TABLE host_groups;
