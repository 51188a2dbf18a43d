-- Whose an event is, where its task ran, and whether that is a daemon.
ALTER TABLE run_event ADD COLUMN app VARCHAR(255);
ALTER TABLE run_event ADD COLUMN hostname VARCHAR(255);
ALTER TABLE run_event ADD COLUMN is_daemon BIGINT;

-- Elastic-Job's tables follow from the events. In a file they are views: kept as tables they would
-- cost as much as all else that is written.
DROP TABLE JOB_EXECUTION_LOG;
DROP TABLE JOB_STATUS_TRACE_LOG;

-- The events of tasks, their ids taken apart: {job}@-@{item}@-@{type}@-@{agent}@-@{unique}.
CREATE VIEW elastic_job_event AS
SELECT
    epoch,
    sequence,
    printf('%08x-%04x-%04x-%04x-%012x', epoch >> 32, (epoch >> 16) & 65535, epoch & 65535,
        (sequence >> 48) & 65535, sequence & 281474976710655) AS id,
    run_id,
    job,
    at_ms,
    strftime('%Y-%m-%d %H:%M:%f', at_ms / 1000.0, 'unixepoch') AS at,
    item,
    task_id,
    substr(rest, 1, instr(rest, '@-@') - 1) AS type,
    substr(agent_rest, 1, instr(agent_rest, '@-@') - 1) AS agent,
    substr(agent_rest, instr(agent_rest, '@-@') + 3) AS unique_part,
    COALESCE(hostname, substr(agent_rest, 1, instr(agent_rest, '@-@') - 1)) AS hostname,
    state,
    message,
    is_daemon,
    -- An execution begins. A daemon tells each firing by BEGIN.
    state = 'TASK_RUNNING' AND substr(message, 1, 8) <> 'COMPLETE'
        AND (NOT is_daemon OR message = 'BEGIN') AS begins,
    -- It ends. A daemon tells each firing by COMPLETE, and behind a colon how it failed.
    state IN ('TASK_FINISHED', 'TASK_FAILED', 'TASK_ERROR')
        OR (state = 'TASK_RUNNING' AND substr(message, 1, 8) = 'COMPLETE') AS ends,
    state = 'TASK_FINISHED' OR (state = 'TASK_RUNNING'
        AND (message = 'COMPLETE' OR substr(message, 1, 10) = 'COMPLETE (')) AS is_success,
    message = 'BEGIN' OR substr(message, 1, 8) = 'COMPLETE' AS is_firing
FROM (
    SELECT *, substr(rest, instr(rest, '@-@') + 3) AS agent_rest
    FROM (
        SELECT *, substr(item_rest, instr(item_rest, '@-@') + 3) AS rest
        FROM (
            SELECT epoch, sequence, run_id, job, at_ms, item, task_id, hostname, state,
                COALESCE(message, '') AS message,
                COALESCE(is_daemon, 0) AS is_daemon,
                substr(task_id, instr(task_id, '@-@') + 3) AS item_rest
            FROM run_event
            WHERE item IS NOT NULL AND state IS NOT NULL AND task_id LIKE '%@-@%@-@%@-@%@-@%'
        )
    )
);

CREATE VIEW JOB_STATUS_TRACE_LOG AS
SELECT
    id,
    job AS job_name,
    CASE WHEN type = 'FAILOVER' THEN COALESCE((
        SELECT before.task_id FROM run_event AS before
        WHERE before.run_id = event.run_id AND before.item = event.item
            AND before.state = 'TASK_STAGING' AND before.task_id <> event.task_id
            AND before.at_ms <= event.at_ms
        ORDER BY before.epoch DESC, before.sequence DESC LIMIT 1
    ), '') ELSE '' END AS original_task_id,
    substr(task_id, 1, 255) AS task_id,
    substr(agent, 1, 50) AS slave_id,
    'CLOUD_SCHEDULER' AS source,
    type AS execution_type,
    '[' || item || ']' AS sharding_item,
    state,
    substr(message, 1, 4000) AS message,
    at AS creation_time
FROM elastic_job_event AS event;

CREATE VIEW JOB_EXECUTION_LOG AS
SELECT
    CASE WHEN begun.is_firing THEN begun.id ELSE begun.unique_part END AS id,
    begun.job AS job_name,
    substr(begun.task_id, 1, 255) AS task_id,
    substr(begun.hostname, 1, 255) AS hostname,
    CASE WHEN begun.hostname NOT GLOB '*[^0-9.]*' OR begun.hostname GLOB '*:*'
        THEN begun.hostname ELSE '' END AS ip,
    begun.item AS sharding_item,
    'NORMAL_TRIGGER' AS execution_source,
    CASE WHEN NOT ended.is_success THEN substr(ended.message, 1, 4000) END AS failure_cause,
    COALESCE(ended.is_success, FALSE) AS is_success,
    begun.at AS start_time,
    ended.at AS complete_time
FROM elastic_job_event AS begun
LEFT JOIN elastic_job_event AS ended
    ON ended.run_id = begun.run_id AND (ended.epoch, ended.sequence) = (
        SELECT next.epoch, next.sequence FROM elastic_job_event AS next
        WHERE next.run_id = begun.run_id AND next.task_id = begun.task_id AND next.ends
            AND (next.epoch, next.sequence) > (begun.epoch, begun.sequence)
        ORDER BY next.epoch, next.sequence LIMIT 1
    )
WHERE begun.begins AND (begun.is_firing OR NOT EXISTS (
    -- Told again.
    SELECT 1 FROM elastic_job_event AS before
    WHERE before.run_id = begun.run_id AND before.task_id = begun.task_id
        AND before.begins AND NOT before.is_firing
        AND (before.epoch, before.sequence) < (begun.epoch, begun.sequence)
))
UNION ALL
-- Its beginning was never told: it began as it ended.
SELECT
    CASE WHEN ended.is_firing THEN ended.id ELSE ended.unique_part END,
    ended.job,
    substr(ended.task_id, 1, 255),
    substr(ended.hostname, 1, 255),
    CASE WHEN ended.hostname NOT GLOB '*[^0-9.]*' OR ended.hostname GLOB '*:*'
        THEN ended.hostname ELSE '' END,
    ended.item,
    'NORMAL_TRIGGER',
    CASE WHEN NOT ended.is_success THEN substr(ended.message, 1, 4000) END,
    ended.is_success,
    ended.at,
    ended.at
FROM elastic_job_event AS ended
WHERE ended.ends
    AND NOT COALESCE((
        SELECT before.begins FROM elastic_job_event AS before
        WHERE before.run_id = ended.run_id AND before.task_id = ended.task_id
            AND (before.begins OR before.ends)
            AND (before.epoch, before.sequence) < (ended.epoch, ended.sequence)
        ORDER BY before.epoch DESC, before.sequence DESC LIMIT 1
    ), FALSE)
    AND (ended.is_firing OR NOT ended.is_daemon AND NOT EXISTS (
        SELECT 1 FROM elastic_job_event AS before
        WHERE before.run_id = ended.run_id AND before.task_id = ended.task_id
            AND before.begins AND NOT before.is_firing
    ));
