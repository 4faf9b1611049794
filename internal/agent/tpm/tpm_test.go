package tpm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/agent/tpm"
	"github.com/patchwarrant/patchwarrant/internal/agent/tpm/tpmtest"
)

// TestAKeyWorksInItsOwnTPMOnly: what is kept on disk signs again and again with the TPM that made it, and never with another.
func TestAKeyWorksInItsOwnTPMOnly(t *testing.T) {
	own, other := tpmtest.Start(t), tpmtest.Start(t)
	made, err := tpm.New(own)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("said"))
	key, err := tpm.Parse(own, made.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for range 5 { // more than a TPM has places for objects
		signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil || !ecdsa.VerifyASN1(made.Public().(*ecdsa.PublicKey), digest[:], signature) {
			t.Fatalf("%x, %v", signature, err)
		}
	}
	for name, device := range map[string]string{"another TPM": other, "none": "/nonexistent"} {
		copied, err := tpm.Parse(device, made.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := copied.Sign(rand.Reader, digest[:], crypto.SHA256); err == nil {
			t.Errorf("%s uses the key", name)
		}
	}
	for _, wrong := range []crypto.SignerOpts{crypto.SHA384, crypto.Hash(0)} {
		if _, err := key.Sign(rand.Reader, digest[:], wrong); err == nil {
			t.Errorf("it signs %v", wrong)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("\x00\x04abcd\x00\x02\x00\x23"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := tpm.Parse("/nonexistent", b); err == nil && k.Public() == nil {
			t.Error("a key without its public part")
		}
	})
}
