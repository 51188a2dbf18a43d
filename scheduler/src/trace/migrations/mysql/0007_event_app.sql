-- Whose an event is, where its task ran, and whether that is a daemon.
ALTER TABLE run_event ADD COLUMN app VARCHAR(255);
ALTER TABLE run_event ADD COLUMN hostname VARCHAR(255);
ALTER TABLE run_event ADD COLUMN is_daemon BIGINT;
