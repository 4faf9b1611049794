// Package feed reads RSS 1.0 (RDF), RSS 2.0 and Atom: each entry is a bulletin for a person to read.
package feed

import (
	"cmp"
	"encoding/xml"
	"errors"
	"html"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// Bounds of a feed, in bytes and entries.
const (
	MaxBytes   = 8 << 20
	maxEntries = 10_000
	maxTitle   = 500
)

// entry is an item of RSS or an entry of Atom; element names differ enough to share one type.
type entry struct {
	About string `xml:"about,attr"` // RSS 1.0
	GUID  string `xml:"guid"`       // RSS 2.0
	ID    string `xml:"id"`         // Atom
	Title string `xml:"title"`
	Links []struct {
		Href string `xml:"href,attr"` // Atom
		Rel  string `xml:"rel,attr"`
		Text string `xml:",chardata"` // RSS
	} `xml:"link"`
	Description string `xml:"description"`
	Summary     string `xml:"summary"`
	Content     string `xml:"content"`
	PubDate     string `xml:"pubDate"`
	Date        string `xml:"date"` // Dublin Core
	Updated     string `xml:"updated"`
	Published   string `xml:"published"`
}

// Parse reads a feed. What is none, has a document type, or has no entry is fault.Invalid.
func Parse(r io.Reader) (intake.Reading, error) {
	d := xml.NewDecoder(io.LimitReader(r, MaxBytes+1))
	reading := intake.Reading{Window: true}
	for depth := 0; ; {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && depth == 0 {
			break
		}
		if err != nil {
			return intake.Reading{}, fault.New(fault.Invalid, "feed: not XML, or damaged near byte %d: %w", d.InputOffset(), err)
		}
		switch t := t.(type) {
		case xml.Directive:
			return intake.Reading{}, fault.New(fault.Invalid, "feed: a document type is not accepted")
		case xml.EndElement:
			depth--
		case xml.StartElement:
			if depth++; depth > 20 {
				return intake.Reading{}, fault.New(fault.Invalid, "feed: nested deeper than 20")
			}
			if depth == 1 && !slices.Contains([]string{"RDF", "rss", "feed"}, t.Name.Local) {
				return intake.Reading{}, fault.New(fault.Invalid, "feed: the document is no RSS and no Atom")
			}
			if t.Name.Local != "item" && t.Name.Local != "entry" {
				continue
			}
			var e entry
			if err := d.DecodeElement(&e, &t); err != nil {
				return intake.Reading{}, fault.New(fault.Invalid, "feed: entry %d is damaged: %w", len(reading.Bulletins)+1, err)
			}
			depth--
			if b := e.bulletin(); b.ID != "" {
				reading.Bulletins = append(reading.Bulletins, b)
			}
			if len(reading.Bulletins) > maxEntries {
				return intake.Reading{}, fault.New(fault.Invalid, "feed: more than %d entries", maxEntries)
			}
		}
	}
	if len(reading.Bulletins) == 0 {
		return intake.Reading{}, fault.New(fault.Invalid, "feed: it has no entry")
	}
	return reading, nil
}

func (e entry) bulletin() intake.Bulletin {
	link := ""
	for _, l := range e.Links {
		if l.Rel == "" || l.Rel == "alternate" {
			link = cmp.Or(link, intake.SafeLink(strings.TrimSpace(cmp.Or(l.Href, l.Text))))
		}
	}
	text := plain(cmp.Or(e.Description, e.Summary, e.Content))
	title := plain(e.Title)
	return intake.Bulletin{ID: intake.Clip(cmp.Or(strings.TrimSpace(e.GUID), strings.TrimSpace(e.ID), e.About, link, title), 300), Title: intake.Clip(title, maxTitle),
		Link: link, Text: intake.Clip(text, intake.MaxBulletin), Published: moment(e.PubDate, e.Date, e.Published, e.Updated),
		Names: intake.Named(title, text, link), Signature: "none"}
}

var tags = regexp.MustCompile(`<[^>]*>`)

// plain takes markup out of a text; what is left is text and is shown as text.
func plain(s string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(s, " "))), " ")
}

func moment(texts ...string) time.Time {
	for _, text := range texts {
		for _, layout := range []string{time.RFC3339, time.RFC1123Z, time.RFC1123, time.DateOnly, "2 Jan 2006 15:04:05 -0700"} {
			if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
				return t.UTC()
			}
		}
	}
	return time.Time{}
}
