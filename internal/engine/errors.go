package engine

import (
	"context"
	"errors"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/storage"
)

// storageError maps the sentinels of storage to the errors of the API, once.
// Whatever already is an abide.Error passes through.
func storageError(err error) error {
	var known *abide.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, storage.ErrNotFound):
		return notFound()
	case errors.Is(err, storage.ErrConflict):
		return &abide.Error{Code: abide.CodeConflict, Detail: "changed_meanwhile", Err: err,
			Message: "other changes of this subject kept coming first", Hint: "try again"}
	case errors.Is(err, storage.ErrTaken):
		return &abide.Error{Code: abide.CodeConflict, Detail: "value_taken", Err: err,
			Message: "another subject holds a value that must be unique", Hint: "look the subject up by it"}
	case errors.Is(err, storage.ErrOutcomeUnknown):
		return &abide.Error{Code: abide.CodeOutcomeUnknown, Detail: "outcome_unknown", Err: err,
			Message: "the change may or may not have been stored", Hint: "send it again with the same Idempotency-Key"}
	case errors.Is(err, storage.ErrFull):
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "disk_full", Err: err,
			Message: "the disk is full; nothing was stored", Hint: "make room, then try again"}
	case errors.Is(err, storage.ErrFenced):
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "keyring_outdated", Err: err,
			Message: "this node's keyring lacks the key that the store rotated to; nothing was stored",
			Hint:    "let all nodes read the keyring from the same place"}
	case errors.Is(err, storage.ErrUnavailable), errors.Is(err, storage.ErrClosed):
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "storage_unavailable", Err: err,
			Message: "the store does not answer; nothing was stored", Hint: "try again"}
	case errors.Is(err, blob.ErrFull):
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "disk_full", Err: err,
			Message: "there is no room for the file; nothing was stored", Hint: "make room, then try again"}
	case errors.Is(err, blob.ErrUnavailable), errors.Is(err, blob.ErrNotFound):
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "uploads_unavailable", Err: err,
			Message: "the store of uploads does not answer", Hint: "try again"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "timed_out", Err: err,
			Message: "the request ended before it was carried out", Hint: "try again"}
	}
	return &abide.Error{Code: abide.CodeInternal, Detail: "internal", Err: err,
		Message: "something went wrong on our side", Hint: "the server's log says more"}
}

func notFound() *abide.Error {
	return &abide.Error{Code: abide.CodeNotFound, Detail: "subject_not_found",
		Message: "there is no such data subject", Hint: "create it, or find it by your own reference"}
}

func erasedError() *abide.Error {
	return &abide.Error{Code: abide.CodeErased, Detail: "subject_erased",
		Message: "this data subject was erased", Hint: "nothing can be read or written for it; the certificate says what happened"}
}

func unavailable(detail, message string) *abide.Error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: detail, Message: message, Hint: "try again"}
}

func noPolicy() *abide.Error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: string(abide.DenyPolicyUnavailable),
		Message: "no policy is in force here", Hint: "publish one with `abide policy publish`"}
}

func invalid(detail, message, hint, field string) *abide.Error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: detail, Message: message, Hint: hint, Field: field}
}

func mayNot(hint string) *abide.Error {
	return &abide.Error{Code: abide.CodeDenied, Detail: "actor_may_not",
		Message: "this caller may not do that", Hint: hint}
}

func isNotFound(err error) bool { return errors.Is(err, storage.ErrNotFound) }

func isOutcomeUnknown(err error) bool { return errors.Is(err, storage.ErrOutcomeUnknown) }

// isNotFoundError reports whether a mapped error says that there is no such
// subject.
func isNotFoundError(err error) bool { return abide.ErrorCode(err) == abide.CodeNotFound }
