-- +goose Up
-- What housekeeping looks for: answers and claims by when they expire.
CREATE INDEX idempotency_expiry ON idempotency (expires_at);
CREATE INDEX lookup_expiry ON lookup (expires_at) WHERE expires_at IS NOT NULL;
