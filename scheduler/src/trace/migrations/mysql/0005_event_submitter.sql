-- Who asked for a run watches for what happens to it, by name.
ALTER TABLE run_event ADD COLUMN submitter VARCHAR(255);
