-- +goose Up
-- What an erasure must look at before it refuses reads, whatever else is held.

CREATE INDEX item_law ON item (subject_id) WHERE compartment = 3;
