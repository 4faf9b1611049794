-- +goose Up
CREATE TABLE policies (
  digest      TEXT PRIMARY KEY,  -- of the payload
  version     BIGINT NOT NULL,
  state       TEXT NOT NULL,
  payload     TEXT NOT NULL,     -- the bytes that people sign
  approvals   TEXT NOT NULL,     -- JSON
  in_force_at BIGINT NOT NULL,
  ended_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX policies_version ON policies (version);
CREATE UNIQUE INDEX policies_in_force ON policies (state) WHERE state = 'in-force';

CREATE TABLE assessments (
  id            TEXT PRIMARY KEY,
  vulnerability TEXT NOT NULL,     -- ID/source
  payload       TEXT NOT NULL,     -- the signed bytes
  envelope      TEXT NOT NULL,     -- digest of the envelope, a blob
  made_at       BIGINT NOT NULL,
  superseded_at BIGINT NOT NULL    -- 0: it holds
);
CREATE UNIQUE INDEX assessments_current ON assessments (vulnerability) WHERE superseded_at = 0;
CREATE INDEX assessments_vulnerability ON assessments (vulnerability, made_at);

CREATE TABLE clocks (
  vulnerability TEXT NOT NULL,
  episode       BIGINT NOT NULL,
  clock         TEXT NOT NULL,
  due_at        BIGINT NOT NULL,
  live          BIGINT NOT NULL,   -- 1 until its episode ends
  running       BIGINT NOT NULL,   -- 1 or 0
  breached_at   BIGINT NOT NULL,   -- 0: in time
  stopped_at    BIGINT NOT NULL,
  detail        TEXT NOT NULL,     -- all of it, as JSON
  act           BIGINT NOT NULL,   -- index of the last act that lists it
  PRIMARY KEY (vulnerability, episode, clock)
);
CREATE INDEX clocks_due ON clocks (running, due_at, vulnerability, clock);
CREATE INDEX clocks_live ON clocks (live);
CREATE INDEX clocks_stopped ON clocks (stopped_at);

-- +goose Down
DROP TABLE clocks;
DROP TABLE assessments;
DROP TABLE policies;
