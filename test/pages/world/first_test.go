//go:build pages

package world

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// first is a server that nobody has set up, and what those who do have at hand.
type first struct {
	Link    string `json:"link"`    // the one that the server prints
	People  string `json:"people"`  // a file of people, for the command line
	Tracker string `json:"tracker"` // a file of advisories
	Host    string `json:"host"`    // takes an enrolment line, as root of a new machine does
}

// virgin makes such a server.
func (s *site) virgin() *first {
	s.t.Helper()
	s.serve()
	link, _, err := s.server.BootstrapLink(s.t.Context())
	s.ok(err)
	f := &first{Link: link, People: filepath.Join(s.dir, "people.toml"), Tracker: filepath.Join(s.dir, "tracker.json")}
	var people strings.Builder
	fmt.Fprintf(&people, "organisation = \"Example\"\n")
	for _, e := range employed {
		fmt.Fprintf(&people, "[[person]]\nid = %q\nname = %q\nroles = [%q]\nkeys = [%q]\n", e.ID, e.Name, e.Roles[0],
			strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.people[e.ID].signer.PublicKey()))))
	}
	s.ok(os.WriteFile(f.People, []byte(people.String()), 0o600))
	b, err := json.Marshal(s.tracker())
	s.ok(err)
	s.ok(os.WriteFile(f.Tracker, b, 0o600))
	root := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		line, err := io.ReadAll(r.Body)
		s.ok(err)
		io.WriteString(w, s.machine("web-01", string(line), "6.1.0-40-amd64", packages("web")).ID)
	}))
	s.t.Cleanup(root.Close)
	f.Host = root.URL
	return f
}
