package agentapi_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent/tpm/tpmtest"
)

// TestACopiedDiskCannotSpeakForAHostWithATPM: where root asked for it, the identity is of use only with the TPM it was made in,
// before and after it is renewed; whoever has the whole disk and another TPM, or none, says nothing in the host's name.
func TestACopiedDiskCannotSpeakForAHostWithATPM(t *testing.T) {
	t.Parallel()
	own, other := tpmtest.Start(t), tpmtest.Start(t)
	w := newWorld(t)
	asks := func(device string) {
		t.Helper()
		path := filepath.Join(w.machine.places.Etc, "agent.json")
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			b, err = []byte(`{"tpm":"`+device+`"}`), os.MkdirAll(w.machine.places.Etc, 0o755)
		}
		check(t, err)
		for _, was := range []string{own, other, "/nonexistent"} {
			b = bytes.ReplaceAll(b, []byte(was), []byte(device))
		}
		check(t, os.WriteFile(path, b, 0o644))
	}
	identity := func() []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(w.machine.places.State, "identity.pem"))
		check(t, err)
		if bytes.Contains(b, []byte("PRIVATE KEY")) {
			t.Fatal("the private key lies on the disk")
		}
		return b
	}
	asks(own)
	w.enrol()
	check(t, w.once())
	for range 2 {
		before := w.host()
		for _, device := range []string{other, "/nonexistent"} {
			asks(device)
			if err := w.once(); err == nil {
				t.Errorf("the copy speaks with %s", device)
			}
		}
		if now := w.host(); now.Counter != before.Counter || !now.LastSeen.Equal(before.LastSeen) || !now.ClonedAt.IsZero() {
			t.Errorf("the server heard the copy: %+v", now)
		}
		asks(own)
		first := identity()
		w.clock.pass(49 * time.Hour)
		check(t, w.once())
		if bytes.Equal(identity(), first) {
			t.Error("the certificate was not renewed")
		}
	}
}
