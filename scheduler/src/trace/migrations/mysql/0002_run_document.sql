-- The job document a run was made with, once the run has ended: it is made once more with the same.
ALTER TABLE run ADD COLUMN document MEDIUMTEXT;
