-- +goose Up
CREATE INDEX curation_record_made ON curation_record (made_at, record);

-- +goose Down
DROP INDEX curation_record_made;
