-- +goose Up
-- Which index keys are in force, beside the policy in force, so that whoever
-- loads a subject learns both. NULL: nobody said yet. The row is there before a
-- policy is published.

ALTER TABLE policy_epoch ADD COLUMN index_keys text COLLATE "C";
INSERT INTO policy_epoch (id, n, version, since) SELECT 1, 0, '', 0 WHERE NOT EXISTS (SELECT 1 FROM policy_epoch);
