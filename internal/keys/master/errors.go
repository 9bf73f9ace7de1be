package master

import (
	"context"
	"errors"
	"net"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	vault "github.com/hashicorp/vault/api"
	"google.golang.org/api/googleapi"

	abide "github.com/abide-privacy/abide"
)

// explain says what an error of a key service means, and what to do. The
// service's own words are kept as the cause and shown to nobody: they may name
// accounts.
func explain(err error) error {
	if err == nil {
		return nil
	}
	switch status(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &abide.Error{Code: abide.CodeUnauthorized, Detail: "master_denied", Err: err,
			Message: "the key service refuses: these credentials may not use the master key",
			Hint:    "give this server's identity leave to encrypt and decrypt with that key"}
	case http.StatusNotFound:
		return &abide.Error{Code: abide.CodeNotFound, Detail: "master_missing", Err: err,
			Message: "the key service knows no such key", Hint: "check the name of the key in --master"}
	case http.StatusBadRequest:
		return &abide.Error{Code: abide.CodeInvalid, Detail: "master_does_not_open", Err: err,
			Message: "the master key does not open this keyring: it is another key, its version was destroyed or disabled, or the file was changed",
			Hint:    "name the key that the keyring was encrypted with, or restore the keyring from its backup"}
	case 0:
	default:
		return unreachable(err)
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) {
		return unreachable(err)
	}
	return &abide.Error{Code: abide.CodeInvalid, Detail: "master_does_not_open", Err: err,
		Message: "the master key does not open this keyring", Hint: "name the key that the keyring was encrypted with"}
}

func unreachable(err error) error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "master_unreachable", Err: err,
		Message: "the key service does not answer", Hint: "is it running and reachable from here? Try again: nothing starts without the master key"}
}

// status is the HTTP status of an answer, 0 if there was none. AWS says by a
// code what others say by a status.
func status(err error) int {
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException":
			return http.StatusForbidden
		case "NotFoundException":
			return http.StatusNotFound
		}
	}
	var aws *awshttp.ResponseError
	var google *googleapi.Error
	var hashi *vault.ResponseError
	switch {
	case errors.As(err, &aws):
		return aws.HTTPStatusCode()
	case errors.As(err, &google):
		return google.Code
	case errors.As(err, &hashi):
		return hashi.StatusCode
	}
	return 0
}
