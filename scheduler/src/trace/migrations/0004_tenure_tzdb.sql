-- Firings of a tenure can be computed anew only by the time zone data that it used.
ALTER TABLE tenure ADD COLUMN tzdb VARCHAR(64) NOT NULL DEFAULT '';
