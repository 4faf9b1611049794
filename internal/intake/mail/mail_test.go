package mail_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake/mail"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// pinned makes keys that a source pins, and a signer.
func pinned(t testing.TB) (mail.Keys, *pgp.Signer) {
	t.Helper()
	signer, err := pgp.Generate("List", "", pgp.Ed25519, now.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	public, err := signer.ArmouredPublic()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := pgp.LoadKeyring(public)
	if err != nil {
		t.Fatal(err)
	}
	return mail.Keys{
		Clear: func(b []byte) ([]byte, pgp.Signature, error) {
			return pgp.VerifyClearsigned(b, ring, ring.Fingerprints(), now)
		},
		Detached: func(signed io.ReadSeeker, signature []byte) (pgp.Signature, error) {
			return pgp.VerifyDetached(signed, signature, ring, ring.Fingerprints(), now)
		}}, signer
}

const head = "From: team@example.org\nSubject: =?utf-8?q?[SECURITY]_[DSA_6352-1]_chromium?=\nMessage-ID: <a@example.org>\nReferences: <first@example.org> <b@example.org>\nDate: Thu, 18 Jun 2026 10:00:00 -0000\n"

const text = "Debian Security Advisory DSA-6352-1\nCVE ID : CVE-2026-0001 CVE-2026-0002\n"

func TestAPlainMail(t *testing.T) {
	r, err := mail.Mbox(mail.Keys{})(strings.NewReader("From x Thu Jun 18\n" + head + "\n" + text + ">From here on.\n\nFrom y Thu Jun 18\n" + head + "\n" + text))
	if err != nil || len(r.Bulletins) != 2 || !r.Window {
		t.Fatalf("%v, %d mails", err, len(r.Bulletins))
	}
	b := r.Bulletins[0]
	if b.ID != "a@example.org" || b.Title != "[SECURITY] [DSA 6352-1] chromium" || b.Thread != "first@example.org" || b.Signature != "none" || b.SignedBy != "" ||
		!slices.Equal(b.Names, []string{"CVE-2026-0001", "CVE-2026-0002", "DSA-6352-1"}) || b.Published.IsZero() || !strings.Contains(b.Text, "\nFrom here on") {
		t.Errorf("%+v", b)
	}
}

// TestSignedMail: inline and PGP/MIME, good, changed afterwards, and by a key that is not pinned.
func TestSignedMail(t *testing.T) {
	keys, signer := pinned(t)
	_, stranger := pinned(t)
	inline := func(s *pgp.Signer) string {
		b, err := s.SignClearsigned([]byte(text), now)
		if err != nil {
			t.Fatal(err)
		}
		return head + "\nunsigned words: CVE-2026-9999\n" + string(b)
	}
	pgpMIME := func(s *pgp.Signer) string {
		part := "Content-Type: text/plain; charset=utf-8\r\n\r\n" + strings.ReplaceAll(text, "\n", "\r\n")
		b := detached(t, s, part)
		return head + "Content-Type: multipart/signed; boundary=xx; protocol=\"application/pgp-signature\"\n\n--xx\n" + strings.ReplaceAll(part, "\r\n", "\n") +
			"\n--xx\nContent-Type: application/pgp-signature\n\n" + b + "\n--xx--\n"
	}
	for name, c := range map[string]struct {
		message string
		good    bool
	}{
		"inline": {inline(signer), true}, "inline, changed": {strings.Replace(inline(signer), "CVE-2026-0001", "CVE-2026-0003", 1), false}, "inline, stranger": {inline(stranger), false},
		"MIME": {pgpMIME(signer), true}, "MIME, changed": {strings.Replace(pgpMIME(signer), "CVE-2026-0001", "CVE-2026-0003", 1), false}, "MIME, stranger": {pgpMIME(stranger), false},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := mail.Message(keys)("cur/1", strings.NewReader(c.message))
			if err != nil {
				t.Fatal(err)
			}
			b := r.Bulletins[0]
			if c.good != (b.Signature == "good") || c.good != (b.SignedBy != "") || !slices.Contains(b.Names, "CVE-2026-0002") {
				t.Errorf("%+v", b)
			}
			if c.good && slices.Contains(b.Names, "CVE-2026-9999") {
				t.Error("words outside the signed text count as signed")
			}
		})
	}
}

// TestOnlyWhatIsSignedCounts: who can play an old signed mail again adds a new date, a title and words around it, in all the ways
// that mails have parts. None of it counts as signed.
func TestOnlyWhatIsSignedCounts(t *testing.T) {
	keys, signer := pinned(t)
	clear, err := signer.SignClearsigned([]byte(text), now)
	if err != nil {
		t.Fatal(err)
	}
	part := "Content-Type: text/plain\r\n\r\n" + strings.ReplaceAll(text, "\n", "\r\n")
	beside := "\n--xx\nContent-Type: application/pgp-signature\n\n" + detached(t, signer, part) + "\n"
	plain := strings.ReplaceAll(part, "\r\n", "\n")
	const later = "From: team@example.org\nSubject: CVE-2026-9999\nMessage-ID: <new@example.org>\nDate: Sat, 18 Jul 2026 10:00:00 -0000\n"
	const evil, mixed, signed = "Content-Type: text/plain\n\nCVE-2026-9999\n", "Content-Type: multipart/mixed; boundary=yy\n\n", "Content-Type: multipart/signed; boundary=xx\n\n"
	for name, message := range map[string]string{
		"around":                    later + "\nCVE-2026-9999\n" + string(clear) + "CVE-2026-9999\n",
		"a part beside":             later + mixed + "--yy\n\n" + string(clear) + "\n--yy\n" + evil + "--yy--\n",
		"a footer of the list":      later + mixed + "--yy\n" + signed + "--xx\n" + plain + beside + "--xx--\n--yy\n" + evil + "--yy--\n",
		"before the first part":     later + signed + "CVE-2026-9999\n--xx\n" + plain + beside + "--xx--\nCVE-2026-9999\n",
		"a part that hides another": later + signed + "--xx\r\n" + strings.ReplaceAll(plain, "\n", "\r\n") + "\n--xx\nCVE-2026-9999: x" + beside[len("\n--xx\nContent-Type: application/pgp-signature"):] + "\r\n--xx--\r\n",
	} {
		r, err := mail.Message(keys)("cur/1", strings.NewReader(message))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b := r.Bulletins[0]
		if b.Signature != "good" || !b.Published.Equal(now) || !slices.Equal(b.Names, []string{"CVE-2026-0001", "CVE-2026-0002", "DSA-6352-1"}) || strings.Contains(b.Text, "9999") {
			t.Errorf("%s: %+v", name, b)
		}
	}
}

// detached signs what stands beside the signature.
func detached(t *testing.T, s *pgp.Signer, text string) string {
	t.Helper()
	private, err := s.ArmouredPrivate()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(private))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&b, keys[0], strings.NewReader(text), &packet.Config{Time: func() time.Time { return now }}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBadMail(t *testing.T) {
	keys, _ := pinned(t)
	deep := "Content-Type: multipart/mixed; boundary=a\n\n"
	for range 20 {
		deep += "--a\nContent-Type: multipart/mixed; boundary=a\n\n"
	}
	for name, bad := range map[string]string{"empty": "", "no mbox": "Subject: x\n\ny\n", "no header": "From x\nthis is no header\n\ny\n",
		"no boundary": "From x\nContent-Type: multipart/mixed\n\ny\n", "base64": "From x\nContent-Transfer-Encoding: base64\n\n!!!!\n",
		"large": "From x\nSubject: y\n\n" + strings.Repeat("A", mail.MaxMail+1)} {
		if _, err := mail.Mbox(keys)(strings.NewReader(bad)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := head + "Content-Type: multipart/mixed; boundary=a\n\n" + strings.Repeat("--a\n\nx\n", 100) + "--a--\n"
	for name, bad := range map[string]string{"deep": head + deep, "many": many} {
		if _, err := mail.Message(keys)("cur/1", strings.NewReader(bad)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRealList(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, "announce", "debian-security-announce.constructed.mbox"))
	if err != nil {
		t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
	}
	defer f.Close()
	r, err := mail.Mbox(mail.Keys{})(f)
	if err != nil || len(r.Bulletins) != 40 {
		t.Fatalf("%v, %d mails", err, len(r.Bulletins))
	}
	for _, b := range r.Bulletins {
		if len(b.Names) == 0 || b.Title == "" {
			t.Errorf("%+v", b)
		}
	}
}

func FuzzMbox(f *testing.F) {
	f.Add([]byte("From x\n" + head + "\n" + text))
	f.Add([]byte("From x\nContent-Type: multipart/signed; boundary=xx\n\n--xx\n\na\n--xx\n\nb\n--xx--\n"))
	f.Add([]byte("From x\nContent-Transfer-Encoding: quoted-printable\n\n=41=\n\n-----BEGIN PGP SIGNED MESSAGE-----\n"))
	keys, _ := pinned(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := mail.Mbox(keys)(bytes.NewReader(b)); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("kind %s: %v", fault.KindOf(err), err)
		} else if err == nil {
			for _, m := range r.Bulletins {
				if m.Signature == "good" {
					t.Fatal("a fuzzer signs")
				}
			}
		}
	})
}
