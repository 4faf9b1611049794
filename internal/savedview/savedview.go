// Package savedview keeps the filters of lists that people named: for themselves, or shared with all.
package savedview

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Lists whose filters can be saved. A view leads to no other page.
var Lists = []string{"vulnerabilities", "hosts", "changes"}

// View is a filter of a list with a name.
type View struct {
	ID     string    `json:"id"`
	Person string    `json:"person"` // whose it is
	List   string    `json:"list"`
	Name   string    `json:"name"`
	Query  string    `json:"query"` // as in an address, without what names a page of the list
	Shared bool      `json:"shared"`
	MadeAt time.Time `json:"made_at"`
}

// Bounds.
const (
	mostViews = 50  // of one person
	maxName   = 40  // characters
	maxQuery  = 500 // bytes
)

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Config of a Views.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Now    func() time.Time
}

// Views is all saved views.
type Views struct{ Config }

// New makes a Views.
func New(c Config) *Views { return &Views{c} }

// List gives the views of a list that a person sees, their own before others', by name. An empty list means all lists.
func (s *Views) List(ctx context.Context, person, list string) (all []View, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = seen(ctx, tx, person, list)
		return err
	})
	return all, err
}

// saved is the detail of the acts view.saved and view.dropped. What is private stands in it by no more than its list: all
// who read the ledger read it.
type saved struct {
	List   string `json:"list"`
	Shared bool   `json:"shared"`
	Name   string `json:"name,omitempty"`
	Query  string `json:"query,omitempty"`
}

func (s *Views) act(ctx context.Context, tx *db.Tx, kind string, v View) error {
	detail := saved{List: v.List, Shared: v.Shared}
	if v.Shared {
		detail.Name, detail.Query = v.Name, v.Query
	}
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = s.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: "view/" + v.ID, At: s.Now(), Who: "person/" + v.Person, Detail: b})
	return err
}

// Save keeps a view of v.Person (List, Name, Query, Shared). One of theirs with the same list and name is replaced.
func (s *Views) Save(ctx context.Context, v View) (View, error) {
	var err error
	if v.Query, err = Canonical(v.Query); err != nil {
		return View{}, err
	}
	v.Name = strings.TrimSpace(v.Name)
	if err := v.check(); err != nil {
		return View{}, err
	}
	now := s.Now().UTC().Truncate(time.Microsecond)
	v.ID, v.MadeAt = id.New("vew", now), now
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := drop(ctx, tx, v)
		if err != nil {
			return err
		}
		if n == 0 {
			has, err := countOf(ctx, tx, v.Person)
			if err != nil {
				return err
			}
			if has >= mostViews {
				return fault.New(fault.Conflict, "you have %d saved views, which is the most: drop one first", mostViews)
			}
		}
		if err := insert(ctx, tx, v); err != nil {
			return err
		}
		return s.act(ctx, tx, "view.saved", v)
	})
	return v, err
}

// Drop ends a view of a person's own. Another's is fault.NotFound, shared or not.
func (s *Views) Drop(ctx context.Context, person, view string) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		v, err := load(ctx, tx, view)
		if err != nil {
			return err
		}
		if v.Person != person {
			return errNone()
		}
		if _, err := drop(ctx, tx, v); err != nil {
			return err
		}
		return s.act(ctx, tx, "view.dropped", v)
	})
}

func errNone() error { return fault.New(fault.NotFound, "you have no such view") }

func (v View) check() error {
	switch {
	case !slices.Contains(Lists, v.List):
		return fault.New(fault.Invalid, "view: a list is one of %s", strings.Join(Lists, ", "))
	case v.Name == "" || utf8.RuneCountInString(v.Name) > maxName || strings.ContainsFunc(v.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fault.New(fault.Invalid, "view: a name has 1 to %d printable characters", maxName)
	case v.Query == "":
		return fault.New(fault.Invalid, "view: there is no filter to save")
	}
	return nil
}

var keyForm = regexp.MustCompile(`^[a-z][a-z-]{0,30}$`)

// places name a page of a list, or what was just said, and are no part of a filter.
var places = []string{"page", "after", "before", "said"}

// Canonical brings the query of an address into one form, without what is no filter. It is empty where nothing is left.
func Canonical(query string) (string, error) {
	q, err := url.ParseQuery(query)
	if err != nil || len(query) > maxQuery {
		return "", fault.New(fault.Invalid, "view: the filter is malformed or longer than %d bytes", maxQuery)
	}
	for key, values := range q {
		if !keyForm.MatchString(key) || slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return "", fault.New(fault.Invalid, "view: the filter is malformed or longer than %d bytes", maxQuery)
		}
		if q.Del(key); !slices.Contains(places, key) && strings.TrimSpace(values[0]) != "" {
			q.Set(key, values[0])
		}
	}
	return q.Encode(), nil
}
