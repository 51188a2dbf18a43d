-- Runs as they stand, and what happened to them. Times are milliseconds since 1970.
-- For MySQL and MariaDB, whose keys are at most 3072 bytes and whose TEXT is short.
CREATE TABLE run (
    id VARCHAR(512) NOT NULL PRIMARY KEY,
    job VARCHAR(255) NOT NULL,
    app VARCHAR(255) NOT NULL,
    logical_time_ms BIGINT NOT NULL,
    state VARCHAR(64) NOT NULL,
    reason TEXT,
    attempt BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    started_at_ms BIGINT,
    finished_at_ms BIGINT,
    version BIGINT NOT NULL,
    json MEDIUMTEXT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One index for each way a list is narrowed; the order within is the list's order.
CREATE INDEX run_by_creation ON run (created_at_ms DESC, id(191) DESC);
CREATE INDEX run_by_job ON run (job, created_at_ms DESC, id(191) DESC);
CREATE INDEX run_by_app ON run (app, created_at_ms DESC, id(191) DESC);
CREATE INDEX run_by_state ON run (state, created_at_ms DESC, id(191) DESC);

CREATE TABLE run_event (
    epoch BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    run_id VARCHAR(512) NOT NULL,
    job VARCHAR(255) NOT NULL,
    at_ms BIGINT NOT NULL,
    kind VARCHAR(64) NOT NULL,
    item BIGINT,
    task_id VARCHAR(1024),
    state VARCHAR(64),
    message TEXT,
    PRIMARY KEY (epoch, sequence)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX run_event_by_run ON run_event (run_id, epoch, sequence);
-- For retention.
CREATE INDEX run_event_by_time ON run_event (at_ms);
