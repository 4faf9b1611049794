package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// MaxPayload bounds a signed payload, in bytes.
const MaxPayload = 1 << 20

// Encode gives our one fixed encoding of v: compact JSON in struct order, no HTML escaping. Floats are refused, and times
// that are not in UTC and whole microseconds, because they would not survive storage unchanged.
func Encode(v any) ([]byte, error) {
	if err := plain(reflect.ValueOf(v)); err != nil {
		return nil, fault.New(fault.Invalid, "encode %T: %w", v, err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fault.New(fault.Invalid, "encode %T: %w", v, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// plain refuses values that have more than one encoding or lose something in it.
func plain(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		return errors.New("floats are not part of signed documents; use integers or strings")
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return plain(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		for i := 0; i < v.Len() && v.Type().Elem().Kind() != reflect.Uint8; i++ {
			if err := plain(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if err := plain(v.MapIndex(k)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			if t.Location() != time.UTC || t.Nanosecond()%1000 != 0 {
				return fmt.Errorf("time %s is not UTC in whole microseconds", t.Format(time.RFC3339Nano))
			}
			return nil
		}
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			if err := plain(v.Field(i)); err != nil {
				return fmt.Errorf("%s: %w", v.Type().Field(i).Name, err)
			}
		}
	}
	return nil
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
	if err := d.Decode(v); err != nil {
		return fault.New(fault.Invalid, "decode %T: %w", v, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fault.New(fault.Invalid, "decode %T: data after the document", v)
	}
	again, err := Encode(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return fault.New(fault.Invalid, "decode %T: not in canonical form", v)
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
	if subjects == nil {
		subjects = []Subject{}
	}
	return Encode(statement[any]{statementType, subjects, predicateType, predicate})
}

// DecodeStatement reads a payload made by EncodeStatement, as strictly as Decode.
func DecodeStatement[T any](payload []byte, predicateType string) (T, []Subject, error) {
	var s statement[T]
	err := Decode(payload, &s)
	if err == nil && (s.Type != statementType || s.PredicateType != predicateType || s.Subject == nil) {
		err = fault.New(fault.Invalid, "decode statement: want %s about %s", statementType, predicateType)
	}
	for i := 0; err == nil && i < len(s.Subject); i++ {
		if !ValidDigest(s.Subject[i].Digest.SHA256) {
			err = fault.New(fault.Invalid, "decode statement: subject %d has no sha256 digest", i)
		}
	}
	return s.Predicate, s.Subject, err
}
