package agentapi_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
)

// publisher is a world whose trust root names a real key of the repository.
type publisher struct {
	*world
	signer *pgp.Signer
}

func newPublisher(t *testing.T) publisher {
	w := newWorld(t)
	signer, err := pgp.Generate("Example repository", "repository@example.org", pgp.Ed25519, w.clock.now().Add(-time.Hour))
	check(t, err)
	public, err := signer.ArmouredPublic()
	check(t, err)
	r := *w.people.Root
	r.Repository.Keys = []string{string(public)}
	w.people.SetRoot(r)
	w.roots = []envelope.Envelope{w.people.RootEnvelope}
	w.enrol()
	return publisher{w, signer}
}

// shows has the server show hosts a release file of a channel, signed now.
func (p publisher) shows(by *pgp.Signer, suite string, version int, date time.Time) {
	p.t.Helper()
	text := fmt.Sprintf("Suite: %s\nVersion: %d\nDate: %s\nValid-Until: %s\nSHA256:\n %s 1 main/binary-amd64/Packages\n", suite, version,
		deb.FormatDate(date), deb.FormatDate(date.Add(7*24*time.Hour)), envelope.Digest([]byte(suite)))
	signed, err := by.SignClearsigned([]byte(text), p.clock.now())
	check(p.t, err)
	p.channel, err = blob.PutBytes(p.t.Context(), p.blobs, signed)
	check(p.t, err)
}

// TestHostsNoticeARepositoryThatGoesBack: a release file of a lower version or an earlier date, of another channel or by another key,
// is an alarm, and no work is taken with it; so is one that nobody renews.
func TestHostsNoticeARepositoryThatGoesBack(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	stranger, err := pgp.Generate("Somebody", "x@example.org", pgp.Ed25519, p.clock.now().Add(-time.Hour))
	check(t, err)
	day := p.clock.now().Truncate(time.Second)
	const hour = time.Hour
	for _, c := range []struct {
		name    string
		by      *pgp.Signer
		suite   string
		version int
		date    time.Time
		code    string
	}{
		{"first", p.signer, "production", 3, day, ""},
		{"renewed", p.signer, "production", 3, day.Add(hour), ""},
		{"promoted", p.signer, "production", 4, day.Add(2 * hour), ""},
		{"an older snapshot, signed anew", p.signer, "production", 3, day.Add(3 * hour), fault.RepoRollback},
		{"an older release file", p.signer, "production", 4, day, fault.RepoRollback},
		{"another of the same date", p.signer, "production", 5, day.Add(2 * hour), fault.RepoRollback},
		{"stage's", p.signer, "stage", 9, day.Add(4 * hour), fault.Environment},
		{"by a stranger", stranger, "production", 9, day.Add(4 * hour), fault.BadSignature},
		{"forward again", p.signer, "production", 5, day.Add(4 * hour), ""},
	} {
		p.shows(c.by, c.suite, c.version, c.date)
		if err := p.once(); fault.CodeOf(err) != c.code || c.code == "" && err != nil {
			t.Errorf("%s: %v, want code %q", c.name, err, c.code)
		}
		if c.code == "" {
			check(t, p.once()) // its alarm, if it had one, is over
			if got := p.host().Alarm; got != "" {
				t.Errorf("%s: alarm %q", c.name, got)
			}
			continue
		}
		p.start(files)
		if err := p.once(); err == nil || p.rollout.state != "waiting" || p.host().Alarm != c.code {
			t.Errorf("%s: again %v, run %s, the server hears alarm %q", c.name, err, p.rollout.state, p.host().Alarm)
		}
		p.rollout.state = ""
	}
	p.channel = "" // withheld, by a server that is fresh in all else
	for day := range 4 {
		p.clock.pass(2 * 24 * hour)
		check(t, p.once())
		s, err := p.agent(slog.New(slog.DiscardHandler)).Status()
		check(t, err)
		if frozen := s.Alarm == fault.Freeze; frozen != (day == 3) {
			t.Errorf("after %d days: alarm %q", 2*(day+1), s.Alarm)
		}
	}
}
