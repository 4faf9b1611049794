package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

// table collects rows and prints them in aligned columns. Cells come from a server that may be hostile: what a terminal
// would act on is escaped.
type table struct {
	head []string
	rows [][]string
}

func newTable(head ...string) *table { return &table{head: head} }

func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case time.Time:
			row[i] = moment(c)
		default:
			row[i] = orderview.Clean(fmt.Sprint(c))
		}
	}
	t.rows = append(t.rows, row)
}

func (t *table) print(w io.Writer) {
	if len(t.rows) == 0 {
		fmt.Fprintln(w, "none")
		return
	}
	widths := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range all {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// cleanLines is orderview.Clean for a text of several lines.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = orderview.Clean(line)
	}
	return strings.Join(lines, "\n")
}

// moment prints a time in UTC to the second; nothing for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// short gives the beginning of a digest, enough to tell two apart on a screen.
func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12]
	}
	return digest
}
