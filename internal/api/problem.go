package api

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// status is the one place where kinds of error become HTTP status codes.
var status = map[fault.Kind]int{
	fault.Invalid:         http.StatusUnprocessableEntity,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Denied:          http.StatusForbidden,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Internal:        http.StatusInternalServerError,
}

// problem is a v1.Problem as huma wants it.
type problem struct{ v1.Problem }

func (p *problem) Error() string             { return p.Detail }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return v1.ProblemType }

// problemOf tells the caller what is wrong. Our own faults are for the log, and the caller learns no more than that.
func problemOf(err error, log *slog.Logger) *problem {
	kind, code := fault.KindOf(err), fault.CodeOf(err)
	detail := err.Error()
	if kind == fault.Internal {
		log.Error("request failed", "error", err)
		detail = "something went wrong on the server; its log says what"
	}
	return newProblem(status[kind], kind, code, detail)
}

func newProblem(status int, kind fault.Kind, code, detail string, errs ...string) *problem {
	kindOf := "about:blank"
	if code != "" {
		kindOf = "https://patchwarrant.org/problem/" + strings.ToLower(code)
	}
	return &problem{v1.Problem{Type: kindOf, Title: http.StatusText(status), Status: status, Detail: detail,
		Kind: kind, Code: code, Errors: errs}}
}

// kinds is how huma's own refusals are told: a request that is too large, too slow or of the wrong form.
var kinds = map[int]fault.Kind{
	http.StatusNotFound: fault.NotFound, http.StatusRequestTimeout: fault.Unavailable,
	http.StatusInternalServerError: fault.Internal,
}

// What huma refuses by itself becomes a problem like ours. Its details are places and rules; the values, which could be
// secrets, are dropped.
func init() {
	huma.NewError = func(code int, message string, errs ...error) huma.StatusError {
		kind, ok := kinds[code]
		if !ok {
			kind = fault.Invalid
		}
		var details []string
		for _, err := range errs {
			if d, ok := errors.AsType[*huma.ErrorDetail](err); ok && d.Location != "" {
				details = append(details, d.Location+": "+d.Message)
			}
		}
		return newProblem(code, kind, "", message, details...)
	}
}
