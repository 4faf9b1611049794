// Package group keeps named groups of hosts, each defined by a condition over what the inventory and the host itself say. Who
// is in a group is always computed, never stored.
package group

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/expr"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Language is what conditions may ask about. Fields that the inventory does not have of a host are "" and [].
var Language = expr.NewLanguage(map[string]expr.Type{
	"name": expr.Text, "hostname": expr.Text, "vendor": expr.Text, "model": expr.Text, "serial": expr.Text, "rack": expr.Text, "use": expr.Text,
	"addresses": expr.Texts, "zone": expr.Text, "ring": expr.Text, "quorum_group": expr.Text, "criticality": expr.Text, "exposure": expr.Text,
	"owner": expr.Text, "unit": expr.Text, "build": expr.Text, "recorded": expr.Truth, // the inventory's; environment is the host's own
	"environment": expr.Text, "distribution": expr.Text, "release": expr.Text, "arch": expr.Text, "kernel": expr.Text, "state": expr.Text,
})

// Most is how many groups there can be: each host's memberships fit one word.
const Most = 64

// Group is a named condition.
type Group struct {
	Name       string    `json:"name"`
	Expression string    `json:"expression"` // in the Common Expression Language, over Language
	Note       string    `json:"note,omitempty"`
	ChangedBy  string    `json:"changed_by"` // person ID
	ChangedAt  time.Time `json:"changed_at"`
}

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Config of Groups.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Now    func() time.Time
}

// Groups keeps all groups.
type Groups struct{ Config }

// New makes Groups.
func New(c Config) *Groups { return &Groups{c} }

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

const maxNote = 500 // bytes

// Save makes a group, or changes the one whose ChangedAt x has: Conflict with code STALE if there is another by now. The condition
// is compiled first: one that cannot be is Invalid, with the place.
func (g *Groups) Save(ctx context.Context, who string, x Group) (Group, error) {
	x.Expression, x.Note = strings.TrimSpace(x.Expression), strings.TrimSpace(x.Note)
	if !nameForm.MatchString(x.Name) || len(x.Note) > maxNote {
		return x, fault.New(fault.Invalid, "a group needs a name of lower case letters, digits and hyphens, and a note of at most %d bytes", maxNote)
	}
	if _, err := Language.Compile(x.Expression); err != nil {
		return x, err
	}
	return x, g.DB.Write(ctx, func(tx *db.Tx) error {
		all, err := loadAll(ctx, tx)
		if err != nil {
			return err
		}
		var before Group
		if i := slices.IndexFunc(all, func(old Group) bool { return old.Name == x.Name }); i >= 0 {
			before = all[i]
		}
		if !before.ChangedAt.Equal(x.ChangedAt) {
			return db.Outdated("group %s was made, changed or dropped since you looked; look again", x.Name)
		}
		if before.Name == "" && len(all) == Most {
			return fault.New(fault.Conflict, "there are %d groups already; drop one first", Most)
		}
		x.ChangedBy, x.ChangedAt = who, db.Later(g.Now(), before.ChangedAt)
		if err := save(ctx, tx, x); err != nil {
			return err
		}
		return g.act(ctx, tx, who, "group.saved", x.Name, map[string]any{"before": before.Expression, "after": x.Expression, "note": x.Note})
	})
}

// Drop forgets a group.
func (g *Groups) Drop(ctx context.Context, who, name string) error {
	return g.DB.Write(ctx, func(tx *db.Tx) error {
		x, err := load(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := drop(ctx, tx, name); err != nil {
			return err
		}
		return g.act(ctx, tx, who, "group.dropped", name, map[string]any{"before": x.Expression})
	})
}

// List gives all groups by name.
func (g *Groups) List(ctx context.Context) (all []Group, err error) {
	err = g.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadAll(ctx, tx)
		return err
	})
	return all, err
}

// Get gives one group, or NotFound.
func (g *Groups) Get(ctx context.Context, name string) (x Group, err error) {
	err = g.DB.Read(ctx, func(tx *db.Tx) error {
		x, err = load(ctx, tx, name)
		return err
	})
	return x, err
}

// Last gives a number that grows with each change of any group.
func (g *Groups) Last(ctx context.Context, tx *db.Tx) (int64, error) { return lastChange(ctx, tx) }

func (g *Groups) act(ctx context.Context, tx *db.Tx, who, kind, name string, detail map[string]any) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = g.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: "group/" + name, At: g.Now().UTC(), Who: "person/" + who, Detail: b})
	return err
}
