package scanner

import (
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// document reads JSON member by member; only what is decoded is in memory.
type document struct {
	in    *input
	d     *json.Decoder
	depth int
}

func (in *input) json() *document {
	if bom, err := in.r.Peek(3); err == nil && string(bom) == "\xef\xbb\xbf" {
		_, _ = in.r.Discard(3) // they were just seen
	}
	return &document{in: in, d: json.NewDecoder(in.r)}
}

func (j *document) token() (json.Token, error) {
	t, err := j.d.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

// inside reads the members of an object, or the elements of an array with an empty key: each is called before the value,
// which it reads. null has none.
func (j *document) inside(open json.Delim, each func(key string) error) error {
	t, err := j.token()
	if err != nil || t == nil {
		return err
	}
	if t != open {
		return fault.New(fault.Invalid, "%s: want %v near byte %d", j.in.report.Format, open, j.d.InputOffset())
	}
	if j.depth++; j.depth > maxDepth {
		return fault.New(fault.Invalid, "%s: nested deeper than %d", j.in.report.Format, maxDepth)
	}
	for j.d.More() {
		key := ""
		if open == '{' {
			if t, err = j.token(); err != nil {
				return err
			}
			key, _ = t.(string)
		}
		if err := each(key); err != nil {
			return err
		}
	}
	j.depth--
	_, err = j.token() // the end
	return err
}

func (j *document) object(each func(key string) error) error { return j.inside('{', each) }
func (j *document) array(each func() error) error {
	return j.inside('[', func(string) error { return each() })
}

// read decodes a value. One of another shape is left at what fits: reports disagree about details.
func (j *document) read(v any) error {
	j.in.budget.used = 0
	err := j.d.Decode(v)
	if _, shape := errors.AsType[*json.UnmarshalTypeError](err); shape {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// skip passes over a value.
func (j *document) skip() error {
	for depth := 0; ; {
		j.in.budget.used = 0
		t, err := j.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		if depth > maxDepth {
			return fault.New(fault.Invalid, "%s: nested deeper than %d", j.in.report.Format, maxDepth)
		}
	}
}

// end makes sure that nothing follows the document.
func (j *document) end() error {
	if _, err := j.d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "%s: something follows the report at byte %d", j.in.report.Format, j.d.InputOffset())
	}
	return nil
}

// moment reads a time as scanners write it; zero for none.
func moment(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05", time.ANSIC,
		"Jan 02, 2006 03:04 PM", "02 Jan 2006 03:04PM MST-0700", "02 Jan 2006 03:04PM MST"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 1990 && t.Year() < 2200 {
			return t.UTC()
		}
	}
	return time.Time{}
}
