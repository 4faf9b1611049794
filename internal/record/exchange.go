package record

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Format of an import or export.
type Format string

// The formats.
const (
	CSV  Format = "csv"  // RFC 4180, a header line first
	JSON Format = "json" // {"records": [{"hostname": …}, …]}
)

// Bounds of one import.
const (
	MaxImport = 64 << 20 // bytes
	MaxRows   = 100_000
	maxErrors = 100 // told of one import
)

// RowError is what is wrong with one row. It never repeats the row's text.
type RowError struct {
	Row     int    `json:"row"` // the first record is 1
	Field   string `json:"field,omitempty"`
	Problem string `json:"problem"`
}

// row is a record as it came, by field; what it does not name stays as it is.
type row map[string]string

// revision is the column by which an import says what it was made from.
const revision = "revision"

// decode reads an import. Rows that cannot be read are in errs, in place of which there is a nil row; err is about the
// whole.
func decode(format Format, b []byte) (rows []row, errs []RowError, err error) {
	if len(b) > MaxImport {
		return nil, nil, fault.New(fault.Invalid, "an import is at most %d MiB", MaxImport>>20)
	}
	switch format {
	case CSV:
		return decodeCSV(b)
	case JSON:
		return decodeJSON(b)
	}
	return nil, nil, fault.New(fault.Invalid, "the format is csv or json")
}

func known(column string) bool {
	_, ok := fieldNamed(column)
	return ok || column == revision || column == "id"
}

func decodeCSV(b []byte) (rows []row, errs []RowError, err error) {
	if !utf8.Valid(b) {
		return nil, nil, fault.New(fault.Invalid, "the file is not UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff"))))
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "the file has no header line")
	}
	taken := map[string]bool{}
	for i, column := range header {
		if !known(column) || taken[column] {
			return nil, nil, fault.New(fault.Invalid, "column %d of the header is unknown or there twice; columns are %s", i+1, columns())
		}
		taken[column] = true
	}
	for n := 1; ; n++ {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, errs, nil
		}
		if n > MaxRows {
			return nil, nil, fault.New(fault.Invalid, "an import has at most %d rows", MaxRows)
		}
		if err != nil { // quotes that do not close: what follows cannot be told apart
			return rows, append(errs, RowError{Row: n, Problem: "the quotes of this row are not as RFC 4180 has them"}), nil
		}
		if len(cells) != len(header) {
			errs = append(errs, RowError{Row: n, Problem: fmt.Sprintf("it has %d cells, the header %d", len(cells), len(header))})
			rows = append(rows, nil)
			continue
		}
		one := row{}
		for i, cell := range cells {
			one[header[i]] = unguard(cell)
		}
		rows = append(rows, one)
	}
}

func columns() string {
	var all []string
	for _, f := range Table {
		all = append(all, f.Name)
	}
	return strings.Join(append(all, "id", revision), ", ")
}

func decodeJSON(b []byte) (rows []row, errs []RowError, err error) {
	var document struct {
		Records []map[string]any `json:"records"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(&document); err != nil || d.More() || document.Records == nil {
		return nil, nil, fault.New(fault.Invalid, `the file is not JSON of the form {"records": [{…}, …]}`)
	}
	if len(document.Records) > MaxRows {
		return nil, nil, fault.New(fault.Invalid, "an import has at most %d rows", MaxRows)
	}
	for i, from := range document.Records {
		one := row{}
		for column, value := range from {
			s, ok := textOf(value)
			if !known(column) || !ok {
				errs = append(errs, RowError{Row: i + 1, Problem: "a field is unknown or no text; fields are " + columns()})
				one = nil
				break
			}
			one[column] = s
		}
		rows = append(rows, one)
	}
	return rows, errs, nil
}

// textOf gives a JSON value as the text of a field: a string, a number for the revision, or a list of strings.
func textOf(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case []any:
		words := make([]string, 0, len(v))
		for _, x := range v {
			word, ok := x.(string)
			if !ok || strings.ContainsAny(word, " \t\r\n") {
				return "", false
			}
			words = append(words, word)
		}
		return strings.Join(words, " "), true
	}
	return "", false
}

// Encode writes records in a format, such that importing them again changes nothing.
func Encode(w io.Writer, format Format, records []Record) error {
	switch format {
	case JSON:
		type out struct {
			ID string `json:"id"`
			Fields
			Revision int64 `json:"revision"`
		}
		all := make([]out, 0, len(records))
		for _, r := range records {
			all = append(all, out{r.ID, r.Fields, r.Revision})
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"records": all})
	case CSV:
		c := csv.NewWriter(w)
		c.UseCRLF = true
		header := []string{"id"}
		for _, f := range Table {
			header = append(header, f.Name)
		}
		if err := c.Write(append(header, revision)); err != nil {
			return err
		}
		for _, r := range records {
			cells := []string{r.ID}
			for _, f := range Table {
				cells = append(cells, guard(f.Text(r.Fields)))
			}
			if err := c.Write(append(cells, strconv.FormatInt(r.Revision, 10))); err != nil {
				return err
			}
		}
		c.Flush()
		return c.Error()
	}
	return fault.New(fault.Invalid, "the format is csv or json")
}

// formulas are how a cell begins that a spreadsheet would compute. Source: OWASP, CSV injection.
const formulas = "=+-@\t\r"

// guard keeps a cell from being computed by the spreadsheet that opens the file: a quote goes before it. A cell that begins
// with quotes before such a character gets one more, so that unguard gives back exactly what was there.
func guard(cell string) string {
	if rest := strings.TrimLeft(cell, "'"); rest != "" && strings.ContainsRune(formulas, rune(rest[0])) {
		return "'" + cell
	}
	return cell
}

func unguard(cell string) string {
	if rest := strings.TrimLeft(cell, "'"); rest != "" && len(rest) < len(cell) && strings.ContainsRune(formulas, rune(rest[0])) {
		return cell[1:]
	}
	return cell
}
