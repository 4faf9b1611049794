package trustroot_test

import (
	"bytes"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

// FuzzDecode: whatever reads as a trust root encodes to the same bytes, and counts without trouble.
func FuzzDecode(f *testing.F) {
	w := warranttest.New(f)
	f.Add(w.RootEnvelope.Payload)
	f.Add(bytes.Replace(w.RootEnvelope.Payload, []byte(`"seats":[[`), []byte(`"seats":[[],[`), 1))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := trustroot.Decode(payload)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, payload) {
			t.Fatalf("encodes to other bytes: %v", err)
		}
		for _, rule := range r.Rules {
			if r.Quorum(rule.Class, "", nil) == nil {
				t.Errorf("nobody is a quorum for %s", rule.Class)
			}
		}
		if _, err := trustroot.First(envelope.Envelope{PayloadType: trustroot.PayloadType, Payload: payload}, r.Digest(), r.MadeAt); err == nil {
			t.Error("a root that nobody signed is taken")
		}
	})
}
