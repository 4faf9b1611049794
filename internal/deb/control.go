package deb

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// MaxStanza is the largest stanza accepted, in bytes. The largest in Debian 12 main has 76,338.
const MaxStanza = 1 << 20

// Stanza is one paragraph of a control file: fields in the order they were written, names compared without case.
type Stanza struct {
	Raw    string // the stanza's lines, each ending in a newline, without the empty line after them
	fields []field
}

// field is a name and where its value stands in Raw.
type field struct {
	name     string
	from, to int
}

// Get gives the value of a field, or "". Continuation lines are kept, each after a newline with its leading space.
func (s Stanza) Get(name string) string {
	for _, f := range s.fields {
		if len(f.name) == len(name) && strings.EqualFold(f.name, name) {
			return strings.Trim(s.Raw[f.from:f.to], " \t\r\n")
		}
	}
	return ""
}

func (s Stanza) has(name string) bool {
	for _, f := range s.fields {
		if len(f.name) == len(name) && strings.EqualFold(f.name, name) {
			return true
		}
	}
	return false
}

// Reader reads stanzas one by one from a control file, an index or dpkg's status.
type Reader struct {
	lines  *bufio.Reader
	buffer []byte
	line   int
}

// NewReader reads stanzas from r; the caller bounds r.
func NewReader(r io.Reader) *Reader {
	return &Reader{lines: bufio.NewReaderSize(r, 64<<10)}
}

// Next gives the next stanza, io.EOF after the last. Malformed lines, fields named twice and stanzas over MaxStanza are
// errors of kind fault.Invalid; what the underlying reader reports comes through.
func (r *Reader) Next() (Stanza, error) {
	r.buffer = r.buffer[:0]
	start := r.line + 1
	for {
		begin := len(r.buffer)
		err := r.readLine()
		if err != nil && !errors.Is(err, io.EOF) {
			return Stanza{}, err
		}
		blank := len(r.buffer) == begin+1 && r.buffer[begin] == '\n'
		if blank {
			r.buffer = r.buffer[:begin]
		} else if err != nil && len(r.buffer) > begin {
			r.buffer = append(r.buffer, '\n')
		}
		switch {
		case len(r.buffer) > 0 && (blank || err != nil):
			return parseStanza(string(r.buffer), start)
		case err != nil:
			return Stanza{}, io.EOF
		case blank:
			start = r.line + 1
		}
	}
}

// readLine appends one line to the buffer, its newline included.
func (r *Reader) readLine() error {
	r.line++
	for {
		part, err := r.lines.ReadSlice('\n')
		if len(r.buffer)+len(part) > MaxStanza {
			return fault.New(fault.Invalid, "line %d: a stanza is larger than %d bytes", r.line, MaxStanza)
		}
		r.buffer = append(r.buffer, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// parseStanza reads a stanza whose lines all end in a newline; line is the number of its first, for messages.
func parseStanza(raw string, line int) (Stanza, error) {
	s := Stanza{Raw: raw, fields: make([]field, 0, 24)}
	for at := 0; at < len(raw); line++ {
		end := at + strings.IndexByte(raw[at:], '\n')
		text := raw[at:end]
		switch {
		case strings.IndexByte(text, 0) >= 0 || strings.Trim(text, " \t\r") == "":
			return Stanza{}, fault.New(fault.Invalid, "line %d of the control data is blank inside a stanza or holds a NUL byte", line)
		case text[0] == ' ' || text[0] == '\t':
			if len(s.fields) == 0 {
				return Stanza{}, fault.New(fault.Invalid, "line %d of the control data continues no field", line)
			}
			s.fields[len(s.fields)-1].to = end
		default:
			name, _, ok := strings.Cut(text, ":")
			if !ok || !validFieldName(name) {
				return Stanza{}, fault.New(fault.Invalid, "line %d of the control data is not of the form \"Field: value\"", line)
			}
			if s.has(name) {
				return Stanza{}, fault.New(fault.Invalid, "line %d of the control data names the field %s twice", line, name)
			}
			s.fields = append(s.fields, field{name, at + len(name) + 1, end})
		}
		at = end + 1
	}
	return s, nil
}

// validFieldName: printable ASCII but space and colon, not beginning with "#" or "-" (Debian policy 5.1).
func validFieldName(name string) bool {
	if name == "" || name[0] == '#' || name[0] == '-' {
		return false
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}
