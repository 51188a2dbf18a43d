-- For the audit: which firings got no run, what was registered when, who led when.
CREATE INDEX run_by_logical_time ON run (logical_time_ms);

CREATE TABLE missed_firing (
    epoch BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    job VARCHAR(255) NOT NULL,
    app VARCHAR(255) NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    firings BIGINT NOT NULL,
    cause VARCHAR(32) NOT NULL,
    reason TEXT NOT NULL,
    decided_at_ms BIGINT NOT NULL,
    PRIMARY KEY (epoch, sequence)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX missed_firing_by_last ON missed_firing (last_ms);

-- Documents and flags: content NULL means removed.
CREATE TABLE config_change (
    epoch BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    kind VARCHAR(32) NOT NULL,
    name VARCHAR(255) NOT NULL,
    at_ms BIGINT NOT NULL,
    changed_by VARCHAR(255) NOT NULL,
    content MEDIUMTEXT,
    PRIMARY KEY (epoch, sequence)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX config_change_by_name ON config_change (kind, name, epoch, sequence);

CREATE TABLE tenure (
    epoch BIGINT NOT NULL PRIMARY KEY,
    scheduler VARCHAR(255) NOT NULL,
    began_at_ms BIGINT NOT NULL,
    default_zone VARCHAR(255) NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- As Elastic-Job's consoles and dashboards expect them.
CREATE TABLE JOB_EXECUTION_LOG (
    id VARCHAR(40) NOT NULL PRIMARY KEY,
    job_name VARCHAR(100) NOT NULL,
    task_id VARCHAR(255) NOT NULL,
    hostname VARCHAR(255) NOT NULL,
    ip VARCHAR(50) NOT NULL,
    sharding_item INT NOT NULL,
    execution_source VARCHAR(20) NOT NULL,
    failure_cause VARCHAR(4000),
    is_success BOOLEAN NOT NULL,
    start_time TIMESTAMP(3) NULL,
    complete_time TIMESTAMP(3) NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX EXECUTION_TASK_INDEX ON JOB_EXECUTION_LOG (task_id);
CREATE INDEX EXECUTION_START_INDEX ON JOB_EXECUTION_LOG (start_time);

CREATE TABLE JOB_STATUS_TRACE_LOG (
    id VARCHAR(40) NOT NULL PRIMARY KEY,
    job_name VARCHAR(100) NOT NULL,
    original_task_id VARCHAR(255) NOT NULL,
    task_id VARCHAR(255) NOT NULL,
    slave_id VARCHAR(50) NOT NULL,
    source VARCHAR(50) NOT NULL,
    execution_type VARCHAR(20) NOT NULL,
    sharding_item VARCHAR(100) NOT NULL,
    state VARCHAR(30) NOT NULL,
    message VARCHAR(4000),
    creation_time TIMESTAMP(3) NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX TASK_ID_STATE_INDEX ON JOB_STATUS_TRACE_LOG (task_id, state);
CREATE INDEX TRACE_CREATION_INDEX ON JOB_STATUS_TRACE_LOG (creation_time);
