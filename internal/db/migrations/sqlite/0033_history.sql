-- +goose Up
-- One time that a vulnerability was on hosts, from when it was first known here to when its last host was observed fixed.
CREATE TABLE exposure (
  vulnerability TEXT NOT NULL,             -- ID/source
  episode       BIGINT NOT NULL,           -- from 1
  identified_at BIGINT NOT NULL,
  affected_at   BIGINT NOT NULL,           -- the first host; 0: none so far
  fixed_at      BIGINT NOT NULL,           -- 0: open
  gone_at       BIGINT NOT NULL,           -- since when no host is left, without an observed fix; 0: there are some
  gone          TEXT NOT NULL,             -- why
  hosts         BIGINT NOT NULL,           -- exposed, as last recorded
  most          BIGINT NOT NULL,
  left_hosts    BIGINT NOT NULL,           -- that left the estate unfixed
  releases      TEXT NOT NULL,             -- where it was, between spaces
  act           BIGINT NOT NULL,           -- index of the last act that lists it
  PRIMARY KEY (vulnerability, episode)
);
CREATE INDEX exposure_fixed ON exposure (fixed_at, vulnerability);
CREATE INDEX exposure_act ON exposure (act);

CREATE TABLE exposure_day (
  day    TEXT PRIMARY KEY, -- YYYY-MM-DD, UTC
  totals TEXT NOT NULL,    -- JSON
  act    BIGINT NOT NULL
);

-- Beside the order's own words, so that months are counted without reading them.
ALTER TABLE change_order ADD COLUMN class TEXT NOT NULL DEFAULT '';
ALTER TABLE change_order ADD COLUMN month TEXT NOT NULL DEFAULT '';
UPDATE change_order SET class = COALESCE(json_extract(CAST(payload AS TEXT), '$.predicate.class'), ''), month = COALESCE(substr(json_extract(CAST(payload AS TEXT), '$.predicate.made_at'), 1, 7), '');
CREATE INDEX change_order_month ON change_order (month, class);

-- +goose Down
DROP INDEX change_order_month;
ALTER TABLE change_order DROP COLUMN month;
ALTER TABLE change_order DROP COLUMN class;
DROP TABLE exposure_day;
DROP TABLE exposure;
