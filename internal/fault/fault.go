// Package fault is the vocabulary of errors: what kind of trouble it is, so that a door can answer it,
// and, where a host or a verifier refuses, the code of the attack it looks like.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what the caller can do about an error. Doors map kinds to HTTP status and exit codes in one place.
type Kind string

const (
	Invalid         Kind = "invalid"         // the input is wrong; change it
	NotFound        Kind = "not-found"       // no such thing, or not visible to the caller
	Conflict        Kind = "conflict"        // the state does not allow it now; look again
	Denied          Kind = "denied"          // known caller, no leave
	Unauthenticated Kind = "unauthenticated" // unknown caller
	Unavailable     Kind = "unavailable"     // try later
	Internal        Kind = "internal"        // our fault
)

// Error is an error with a kind and, for refusals of warrants and evidence, a stable code (upper case, e.g. REPLAY).
type Error struct {
	Kind Kind
	Code string
	err  error
}

func (e *Error) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.err }

// New makes an error of a kind; format follows fmt.Errorf, %w included.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, err: fmt.Errorf(format, args...)}
}

// Refuse makes a Denied error with the code of the attack it looks like.
func Refuse(code, format string, args ...any) error {
	return &Error{Kind: Denied, Code: code, err: fmt.Errorf(format, args...)}
}

// KindOf gives the kind of the outermost Error in the chain; Internal if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// CodeOf gives the code of the first coded Error in the chain, or "".
func CodeOf(err error) string {
	for e := (*Error)(nil); errors.As(err, &e); err = e.err {
		if e.Code != "" {
			return e.Code
		}
	}
	return ""
}
