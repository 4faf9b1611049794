package pgp

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const release = "Origin: Test\nSuite: stable\nSHA256:\n 00 1 main/binary-amd64/Packages\n-dashed: line\n"

func generate(t *testing.T, a Algorithm) (*Signer, *Keyring) {
	t.Helper()
	s, err := Generate("Test", "test@example.org", a, now.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	public, err := s.ArmouredPublic()
	if err != nil {
		t.Fatal(err)
	}
	k, err := LoadKeyring(public)
	if err != nil {
		t.Fatal(err)
	}
	return s, k
}

func sign(t *testing.T, s *Signer, text string) []byte {
	t.Helper()
	b, err := s.SignClearsigned([]byte(text), now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSignedTextComesBack(t *testing.T) {
	for _, a := range []Algorithm{Ed25519, RSA3072} {
		s, k := generate(t, a)
		private, err := s.ArmouredPrivate()
		if err != nil {
			t.Fatal(err)
		}
		if s, err = LoadSigner(private); err != nil {
			t.Fatal(err)
		}
		text, good, err := VerifyClearsigned(sign(t, s, release), k, []string{strings.ToUpper(s.Fingerprint())}, now)
		if err != nil || string(text) != release || good != (Signature{s.Fingerprint(), now}) {
			t.Errorf("algorithm %d: %q by %v, %v", a, text, good, err)
		}
	}
}

func TestBadSignaturesAreRefused(t *testing.T) {
	s, k := generate(t, Ed25519)
	other, otherKeys := generate(t, Ed25519)
	good := sign(t, s, release)
	both := &Keyring{append(k.entities, otherKeys.entities...)}
	for rule, c := range map[string]struct {
		data   []byte
		keys   *Keyring
		pinned string
		now    time.Time
	}{
		"changed text":         {bytes.Replace(good, []byte("stable"), []byte("stablf"), 1), k, s.Fingerprint(), now},
		"wrong key":            {sign(t, other, release), both, s.Fingerprint(), now},
		"pinned key not held":  {good, otherKeys, s.Fingerprint(), now},
		"key held, not pinned": {good, both, other.Fingerprint(), now},
		"text before":          {append([]byte("Suite: evil\n"), good...), k, s.Fingerprint(), now},
		"text after":           {append(bytes.Clone(good), "Suite: evil\n"...), k, s.Fingerprint(), now},
		"no signature":         {[]byte(release), k, s.Fingerprint(), now},
		"empty":                {nil, k, s.Fingerprint(), now},
		"cut off":              {good[:len(good)-60], k, s.Fingerprint(), now},
		"made in the future":   {good, k, s.Fingerprint(), now.Add(-48 * time.Hour)},
	} {
		text, _, err := VerifyClearsigned(c.data, c.keys, []string{c.pinned}, c.now)
		if fault.CodeOf(err) != "SIGNATURE" {
			t.Errorf("%s: got %q, %v, want code SIGNATURE", rule, text, err)
		}
	}
}

func TestOneGoodPinnedSignatureIsEnough(t *testing.T) {
	s, k := generate(t, Ed25519)
	other, _ := generate(t, Ed25519)
	theirs, ours := sign(t, other, release), sign(t, s, release)
	// Both signatures in one document, the unknown one first, as armoured blocks cannot be joined: decode and write again.
	joined := joinSignatures(t, theirs, ours)
	if _, good, err := VerifyClearsigned(joined, k, []string{s.Fingerprint()}, now); err != nil || good.By != s.Fingerprint() {
		t.Errorf("signed by %s, %v", good.By, err)
	}
}

func TestBlanksAtLineEndsAreNotGivenBack(t *testing.T) {
	s, k := generate(t, Ed25519)
	padded := bytes.Replace(sign(t, s, release), []byte("Suite: stable\n"), []byte("Suite: stable \t\n"), 1)
	text, _, err := VerifyClearsigned(padded, k, []string{s.Fingerprint()}, now)
	if err != nil || string(text) != release {
		t.Errorf("%q, %v: want the signed text alone", text, err)
	}
}

func TestSecretKeysAreKeptApart(t *testing.T) {
	s, _ := generate(t, Ed25519)
	private, _ := s.ArmouredPrivate()
	public, _ := s.ArmouredPublic()
	if _, err := LoadKeyring(private); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a secret key as keyring: %v", err)
	}
	if _, err := LoadSigner(public); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a public key as signer: %v", err)
	}
	two := append(public, public...)
	if k, err := LoadKeyring(two); err != nil || len(k.Fingerprints()) != 2 {
		t.Errorf("two armoured blocks: %v, %v", k, err)
	}
}

// TestGpgvAcceptsOurSignatures: gpgv 2.2 refuses most elliptic-curve signatures whose armour lacks the checksum.
func TestGpgvAcceptsOurSignatures(t *testing.T) {
	gpgv, err := exec.LookPath("gpgv")
	if err != nil {
		t.Skip("gpgv is not installed here")
	}
	for _, a := range []Algorithm{Ed25519, RSA3072} {
		s, k := generate(t, a)
		dir := t.TempDir()
		keys := filepath.Join(dir, "keys.gpg")
		var binary bytes.Buffer
		if err := k.entities[0].Serialize(&binary); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(keys, binary.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		for i := range 60 {
			file := filepath.Join(dir, "InRelease")
			if err := os.WriteFile(file, sign(t, s, fmt.Sprintf("%sNumber: %d\n", release, i)), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(gpgv, "--homedir", dir, "--keyring", keys, file).CombinedOutput(); err != nil {
				t.Fatalf("algorithm %d: gpgv refuses signature %d: %v\n%s", a, i, err, out)
			}
		}
	}
}

// TestDebiansReleaseFiles verifies what apt fetched for this machine with Debian's own keyring.
func TestDebiansReleaseFiles(t *testing.T) {
	raw, err := os.ReadFile("/usr/share/keyrings/debian-archive-keyring.gpg")
	if err != nil {
		t.Skip("no Debian keyring here")
	}
	files, err := filepath.Glob("/var/lib/apt/lists/*debian*_InRelease")
	if err != nil || len(files) == 0 {
		t.Skip("apt has fetched no InRelease here")
	}
	keys, err := LoadKeyring(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		text, good, err := VerifyClearsigned(data, keys, keys.Fingerprints(), at)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		t.Logf("%s: %d bytes signed by %s", filepath.Base(file), len(text), good.By)
		data[len(data)/3] ^= 1
		if _, _, err := VerifyClearsigned(data, keys, keys.Fingerprints(), at); err == nil {
			t.Errorf("%s: accepted with one bit changed", file)
		}
	}
}

func FuzzVerifyClearsigned(f *testing.F) {
	s, err := Generate("Test", "test@example.org", Ed25519, now.Add(-time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	public, _ := s.ArmouredPublic()
	keys, err := LoadKeyring(public)
	if err != nil {
		f.Fatal(err)
	}
	good, err := s.SignClearsigned([]byte(release), now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		text, _, err := VerifyClearsigned(data, keys, []string{s.Fingerprint()}, now)
		if err == nil && string(text) != release {
			t.Fatalf("verified what nobody signed: %q", text)
		}
		LoadKeyring(data)
	})
}

func TestASignatureBesideADocument(t *testing.T) {
	s, k := generate(t, Ed25519)
	other, _ := generate(t, Ed25519)
	beside := func(s *Signer) []byte {
		var b bytes.Buffer
		if err := openpgp.ArmoredDetachSign(&b, s.entity, strings.NewReader(release), signingConfig(now)); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	good := beside(s)
	signature, err := VerifyDetached(strings.NewReader(release), good, k, []string{s.Fingerprint()}, now)
	if err != nil || signature != (Signature{s.Fingerprint(), now}) {
		t.Fatal(signature, err)
	}
	for rule, c := range map[string]struct {
		document  string
		signature []byte
		pinned    string
	}{
		"other bytes":    {release + " ", good, s.Fingerprint()},
		"another key":    {release, beside(other), s.Fingerprint()},
		"no key pinned":  {release, good, other.Fingerprint()},
		"no signature":   {release, nil, s.Fingerprint()},
		"cut off":        {release, good[:len(good)/2], s.Fingerprint()},
		"a key in place": {release, []byte(armourBegin + "\n\n-----END PGP PUBLIC KEY BLOCK-----\n"), s.Fingerprint()},
	} {
		if _, err := VerifyDetached(strings.NewReader(c.document), c.signature, k, []string{c.pinned}, now); fault.CodeOf(err) != fault.BadSignature {
			t.Errorf("%s: %v", rule, err)
		}
	}
}

func FuzzVerifyDetached(f *testing.F) {
	s, err := Generate("Test", "test@example.org", Ed25519, now.Add(-time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	public, _ := s.ArmouredPublic()
	keys, err := LoadKeyring(public)
	if err != nil {
		f.Fatal(err)
	}
	var beside bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&beside, s.entity, strings.NewReader(release), signingConfig(now)); err != nil {
		f.Fatal(err)
	}
	f.Add(beside.Bytes())
	f.Add([]byte(armourBegin))
	f.Fuzz(func(t *testing.T, signature []byte) {
		if _, err := VerifyDetached(strings.NewReader(release+" "), signature, keys, []string{s.Fingerprint()}, now); fault.CodeOf(err) != fault.BadSignature {
			t.Fatalf("of other bytes: %v", err)
		}
		if _, err := VerifyDetached(strings.NewReader(release), signature, keys, nil, now); err == nil {
			t.Fatal("a signature by no pinned key")
		}
	})
}
