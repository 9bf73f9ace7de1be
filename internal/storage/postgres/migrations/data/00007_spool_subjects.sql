-- +goose Up
-- Whom the looks of an indexed batch are about, 16 bytes each in their order: an
-- auditor comes from a place in the log, and looks are kept by subject.

ALTER TABLE spool ADD COLUMN subjects bytea;
