-- +goose Up
-- What retention sweeps, in the order in which it pages: of a day on which a
-- million people are due, a page must not sort all.
CREATE INDEX subject_due_order ON subject (next_due_at, subject_id) WHERE next_due_at IS NOT NULL;
DROP INDEX subject_due;
