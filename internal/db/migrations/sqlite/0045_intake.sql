-- +goose Up
ALTER TABLE sources ADD COLUMN shrunk TEXT NOT NULL DEFAULT '';               -- digest of what was refused for stating less; a person may accept it
ALTER TABLE sources ADD COLUMN documents BIGINT NOT NULL DEFAULT 0;           -- of a collection, in force
ALTER TABLE sources ADD COLUMN refused_documents BIGINT NOT NULL DEFAULT 0;   -- of these the last bytes were refused

-- +goose Down
ALTER TABLE sources DROP COLUMN refused_documents;
ALTER TABLE sources DROP COLUMN documents;
ALTER TABLE sources DROP COLUMN shrunk;
