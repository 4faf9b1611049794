package scanner

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// markup reads XML element by element. Entities of a document's own are never expanded: a document type is refused.
type markup struct {
	in   *input
	d    *xml.Decoder
	path []string // of the elements that are open
}

func (in *input) xml() *markup {
	m := &markup{in: in}
	m.d = xml.NewDecoder(in.r)
	return m
}

// next gives the next start or end of an element, or text; io.EOF at the end of the document.
func (m *markup) next() (xml.Token, error) {
	for {
		t, err := m.d.Token()
		if errors.Is(err, io.EOF) && len(m.path) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, fault.New(fault.Invalid, "%s: a document type is not accepted", m.in.report.Format)
		case xml.StartElement:
			if m.path = append(m.path, t.Name.Local); len(m.path) > maxDepth {
				return nil, fault.New(fault.Invalid, "%s: nested deeper than %d", m.in.report.Format, maxDepth)
			}
			return t, nil
		case xml.EndElement:
			m.path = m.path[:len(m.path)-1]
			return t, nil
		case xml.CharData:
			return t, nil
		}
	}
}

// elements calls each for every element directly inside the one that was just opened; each must read it to its end.
func (m *markup) elements(each func(xml.StartElement) error) error {
	depth := len(m.path)
	for {
		t, err := m.next()
		if err != nil {
			return err
		}
		if start, ok := t.(xml.StartElement); ok {
			if err := each(start); err != nil {
				return err
			}
		}
		if len(m.path) < depth {
			return nil
		}
	}
}

// text reads the rest of the element that was just opened as text, at most maxItem bytes; elements inside are passed over.
func (m *markup) text() (string, error) {
	var b strings.Builder
	depth := len(m.path)
	for {
		t, err := m.next()
		if err != nil {
			return "", err
		}
		if len(m.path) < depth {
			return strings.TrimSpace(b.String()), nil
		}
		if chars, ok := t.(xml.CharData); ok && len(m.path) == depth {
			b.Write(chars)
		}
	}
}

// skip passes over the element that was just opened.
func (m *markup) skip() error {
	depth := len(m.path)
	for len(m.path) >= depth {
		m.in.budget.used = 0
		if _, err := m.next(); err != nil {
			return err
		}
	}
	return nil
}

// root opens the document's outermost element.
func (m *markup) root() (xml.StartElement, error) {
	for {
		t, err := m.next()
		if err != nil {
			return xml.StartElement{}, err
		}
		if start, ok := t.(xml.StartElement); ok {
			return start, nil
		}
	}
}

// end makes sure that nothing follows the outermost element.
func (m *markup) end() error {
	for {
		t, err := m.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if chars, ok := t.(xml.CharData); !ok || strings.TrimSpace(string(chars)) != "" {
			return fault.New(fault.Invalid, "%s: something follows the report", m.in.report.Format)
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
