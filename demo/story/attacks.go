package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/bundle"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/evidence"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Attack shows three attacks fail: an order that nobody signed, a file changed during a change's window, an entry of the
// ledger taken out of the evidence.
func (s *Story) Attack(ctx context.Context) error {
	for _, attack := range []func(context.Context) error{s.attackServer, s.attackHost, s.attackEvidence} {
		if err := attack(ctx); err != nil {
			return err
		}
	}
	return s.cite(ctx)
}

// attackServer plays someone who rules the server: an order that nobody signed is written into its database.
func (s *Story) attackServer(ctx context.Context) error {
	s.chapter("Attack 1: the server's database is edited")
	const victim = "xz-utils"
	forged := id.New("ord", time.Now())
	return s.take(ctx, "attack: order that nobody signed, refused", "run.refused", "run/"+forged+"/"+s.hosts["prod-1"].id, func(ctx context.Context) error {
		if err := s.forgeRemoval(ctx, forged, victim); err != nil {
			return err
		}
		s.say("written into the server's database: order %s, as if warranted, to remove %s from prod-1", forged, victim)
		o, err := s.settled(ctx, forged)
		if err != nil {
			return err
		}
		run := o.Rollout.Runs[0]
		if run.State != warrant.Refused || run.Code != fault.Quorum {
			return fmt.Errorf("prod-1 should refuse it with %s; its run is %s %s", fault.Quorum, run.State, run.Code)
		}
		if _, err := s.hosts["prod-1"].Exec(ctx, "dpkg", "--status", victim); err != nil {
			return err
		}
		s.say("prod-1 refused with %s, in a report it signed; %s is still there; the order is %s", run.Code, victim, o.State)
		return nil
	})
}

// forgeRemoval makes an order from the first change's: the same papers, but it removes a package, and nobody signed it.
func (s *Story) forgeRemoval(ctx context.Context, forged, victim string) error {
	version, err := s.hosts["prod-1"].Exec(ctx, "dpkg-query", "--show", "--showformat=${Version}", victim)
	if err != nil {
		return err
	}
	genuine := s.changes[0].prod
	var known v1.Order
	if err := s.ask(ctx, "carol", &known, "order", "show", genuine); err != nil {
		return err
	}
	o, err := warrant.DecodeOrder(known.Payload)
	if err != nil {
		return err
	}
	o.ID, o.Sequence, o.Reason = forged, o.Sequence+1000, "urgent cleaning"
	o.Transactions = []warrant.Transaction{{Hosts: []string{s.hosts["prod-1"].id}, Actions: []warrant.Action{
		{Do: "remove", Name: victim, Arch: s.world.Release.Arch, From: string(version)}}}}
	payload, err := o.Encode()
	if err != nil {
		return err
	}
	e, err := envelope.Encode(envelope.Envelope{PayloadType: warrant.OrderType, Payload: payload, Signatures: []envelope.Signature{}})
	if err != nil {
		return err
	}
	data := filepath.Join(s.hub.Root, serverData)
	if err := putBlob(ctx, filepath.Join(data, "blobs"), e); err != nil {
		return err
	}
	return forge(ctx, filepath.Join(data, "patchwarrant.db"), genuine, s.hosts["prod-1"].id, o, payload, envelope.Digest(payload), envelope.Digest(e))
}

// putBlob puts bytes into the server's store, as the store's owner.
func putBlob(ctx context.Context, dir string, b []byte) error {
	store, err := blob.Dir(dir)
	if err != nil {
		return err
	}
	digest, err := blob.PutBytes(ctx, store, b)
	if err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	place := filepath.Join(dir, digest[:2])
	return errors.Join(os.Chown(place, int(owner.Uid), int(owner.Gid)), os.Chown(filepath.Join(place, digest), int(owner.Uid), int(owner.Gid)))
}

// planted is the file that attackHost changes.
const planted = "/etc/profile"

// attackHost has a file of production changed while the second change is being carried out there.
func (s *Story) attackHost(ctx context.Context) error {
	s.chapter("Attack 2: a file on production is changed during the window")
	c := s.changes[1]
	if err := s.Patch(ctx, c); err != nil {
		return err
	}
	return s.take(ctx, "attack: planted change, under investigation", "order.under-investigation", "order/"+c.prod, func(ctx context.Context) error {
		if err := s.plant(ctx); err != nil {
			return err
		}
		o, err := s.settled(ctx, c.prod)
		if err != nil {
			return err
		}
		if o.State != "under-investigation" {
			return s.unexpected(ctx, o)
		}
		return s.investigated(ctx, c)
	})
}

// plant waits until prod-1 has said what it was before, and changes the file.
func (s *Story) plant(ctx context.Context) error {
	prod := s.hosts["prod-1"]
	err := s.await(ctx, "prod-1 to begin", time.Minute, func(context.Context) (bool, error) {
		return slices.Contains([]string{"observed", "begun", "executed"}, phase(prod.Root)), nil
	})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(prod.Root, planted), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("PATH=/var/tmp:$PATH\n")
	s.say("%s on prod-1 was changed while the agent was at %q", planted, phase(prod.Root))
	return errors.Join(err, f.Close())
}

// phase gives how far a host's agent is with the order in hand; empty for none.
func phase(root string) string {
	var errand struct {
		Phase string `json:"phase"`
	}
	b, err := os.ReadFile(filepath.Join(root, "var/lib/patchwarrant-agent/errand.json"))
	if err != nil || json.Unmarshal(b, &errand) != nil {
		return ""
	}
	return errand.Phase
}

// investigated checks that the change, and nothing else, is unexplained, and that a clock of 24 hours runs.
func (s *Story) investigated(ctx context.Context, c *change) error {
	var r reconciled
	if err := s.ask(ctx, "alice", &r, "reconciliation", "show", c.prod); err != nil {
		return err
	}
	var lines []explain.Line
	for _, report := range r.Reports {
		lines = append(lines, report.Discrepancies()...)
	}
	if len(lines) != 1 || lines[0].Path != planted || lines[0].Verdict != explain.Unexplained {
		return fmt.Errorf("want %s unexplained and nothing else, have %+v", planted, lines)
	}
	s.say("reconciliation: %s is %s: %s", lines[0].Path, lines[0].Verdict, lines[0].Why)
	var all v1.Investigations
	if err := s.ask(ctx, "alice", &all, "investigation", "list"); err != nil {
		return err
	}
	for _, i := range all.Investigations {
		if i.Order == c.prod && i.State == integrity.Open && i.DueAt.Sub(i.OpenedAt) == 24*time.Hour {
			s.say("investigation %s is open; it must be answered by %s", i.ID, i.DueAt.Format(time.RFC3339))
			return nil
		}
	}
	return fmt.Errorf("no investigation with a clock of 24 hours: %+v", all.Investigations)
}

// attackEvidence takes the entry that warrants the production order out of a copy of the bundle.
func (s *Story) attackEvidence(ctx context.Context) error {
	s.chapter("Attack 3: an entry of the ledger is taken out of the evidence")
	return s.show(ctx, "attack: entry removed from the evidence, named", "the bundle that was cut", func(ctx context.Context) (string, error) {
		sealed, err := os.ReadFile(s.Bundle())
		if err != nil {
			return "", err
		}
		b, err := bundle.Unpack(sealed)
		if err != nil {
			return "", err
		}
		i := slices.IndexFunc(s.steps, func(step step) bool { return step.act == "order.warranted" && step.on == "order/"+s.changes[0].prod })
		entry := fmt.Sprintf("acts/%012d.json", s.steps[i].index)
		members := slices.DeleteFunc(slices.Clone(b.Members()), func(m bundle.Member) bool { return m.Name == entry })
		cut, err := bundle.Pack(members)
		if err != nil {
			return "", err
		}
		file := filepath.Join(s.dir, "cut.bundle")
		if err := os.WriteFile(file, cut, 0o600); err != nil {
			return "", err
		}
		_, err = s.run(ctx, "", "verify", file)
		if err == nil || len(members) != len(b.Members())-1 || !strings.Contains(err.Error(), evidence.Removed) ||
			!strings.Contains(err.Error(), fmt.Sprint(s.steps[i].index)) {
			return "", fmt.Errorf("a bundle without %s: want INVALID with %s and the entry's number, have %w", entry, evidence.Removed, err)
		}
		s.say("%s", lastWords(err))
		return envelope.Digest(cut), nil
	})
}
