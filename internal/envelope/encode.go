package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// MaxPayload bounds a signed payload, in bytes.
const MaxPayload = 1 << 20

var offsetTime = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d"`)

// Encode gives our one fixed encoding of v: compact JSON in struct order, no HTML escaping, times in UTC (others are
// refused).
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	if err == nil && offsetTime.Match(b.Bytes()) {
		err = fmt.Errorf("time %s is not in UTC", offsetTime.Find(b.Bytes()))
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "encode %T: %w", v, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Decode reads b, at most MaxPayload bytes, into v, which must be zero. It refuses unknown fields, trailing data and
// whatever does not re-encode to the same bytes: duplicate or case-variant keys, other number and time forms.
func Decode(b []byte, v any) error { return DecodeUpTo(MaxPayload, b, v) }

// DecodeUpTo is Decode with another bound, in bytes.
func DecodeUpTo(limit int, b []byte, v any) error {
	if len(b) > limit {
		return fault.New(fault.Invalid, "decode %T: %d bytes are over the limit of %d", v, len(b), limit)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if _, end := d.Token(); err == nil && end != io.EOF {
		err = errors.New("data after the document")
	}
	if err == nil {
		var again []byte
		if again, err = Encode(v); err == nil && !bytes.Equal(again, b) {
			err = errors.New("not in canonical form")
		}
	}
	if err != nil {
		return fault.New(fault.Invalid, "decode %T: %w", v, err)
	}
	return nil
}

const statementType = "https://in-toto.io/Statement/v1"

// Subject is one thing a statement is about.
type Subject struct {
	Name   string    `json:"name"`
	Digest DigestSet `json:"digest"`
}

// DigestSet holds the digests of a subject; only SHA-256, in lower hex.
type DigestSet struct {
	SHA256 string `json:"sha256"`
}

type statement[T any] struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     T         `json:"predicate"`
}

// EncodeStatement gives the in-toto Statement v1 that says predicate about subjects: the form of every signed payload.
func EncodeStatement(predicateType string, subjects []Subject, predicate any) ([]byte, error) {
	return Encode(statement[any]{statementType, append([]Subject{}, subjects...), predicateType, predicate})
}

// DecodeStatement reads a payload made by EncodeStatement, as strictly as Decode.
func DecodeStatement[T any](payload []byte, predicateType string) (T, []Subject, error) {
	var s statement[T]
	err := Decode(payload, &s)
	if err == nil && (s.Type != statementType || s.PredicateType != predicateType || s.Subject == nil) {
		err = fault.New(fault.Invalid, "decode statement: want %s about %s", statementType, predicateType)
	}
	return s.Predicate, s.Subject, err
}
