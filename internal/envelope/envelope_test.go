package envelope_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/envelopetest"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const (
	order    = "application/vnd.patchwarrant.order.v1+json"
	curation = "application/vnd.patchwarrant.curation.v1+json"
)

var payload = []byte(`{"a":1}`)

// Source: the example of the DSSE protocol document.
func TestPAE(t *testing.T) {
	got := string(envelope.PAE("http://example.com/HelloWorld", []byte("hello world")))
	if want := "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestNamespace(t *testing.T) {
	for payloadType, want := range map[string]string{
		order: "order.v1@patchwarrant",
		"application/vnd.patchwarrant.trust-root.v12+json": "trust-root.v12@patchwarrant",
		"application/vnd.patchwarrant.order.v0+json":       "",
		"application/vnd.in-toto+json":                     "",
		" " + order:                                        "",
		order + "\n":                                       "",
		"":                                                 "",
	} {
		if got := envelope.Namespace(payloadType); got != want {
			t.Errorf("%q: %q, want %q", payloadType, got, want)
		}
	}
}

func sshKey(t testing.TB, private any) (ssh.Signer, envelope.Key) {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, keyOf(t, signer.PublicKey())
}

func keyOf(t testing.TB, pub ssh.PublicKey) envelope.Key {
	t.Helper()
	key, err := sshkey.Read(string(ssh.MarshalAuthorizedKey(pub)) + " somebody@somewhere")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func privateKeys(t testing.TB) map[string]any {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"ed25519": &ed, "ecdsa": ec, "rsa": r}
}

func TestSSHSignatures(t *testing.T) {
	for name, private := range privateKeys(t) {
		signer, key := sshKey(t, private)
		s, err := sshkey.Sign(signer, order, payload)
		if err != nil {
			t.Fatal(name, err)
		}
		p, err := key.Verify(order, payload, s)
		if err != nil || p != (envelope.Proof{KeyID: key.ID, Kind: envelope.SSH}) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// One row per attack on an SSH signature.
func TestSSHRefuses(t *testing.T) {
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	signer, key := sshKey(t, private)
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	stranger, _ := sshKey(t, other)
	good, err := sshkey.Sign(signer, order, payload)
	if err != nil {
		t.Fatal(err)
	}
	with := func(by ssh.Signer, message []byte, h sshsig.HashAlgorithm, namespace string) envelope.Signature {
		sig, err := sshsig.Sign(bytes.NewReader(message), by, h, namespace)
		if err != nil {
			t.Fatal(err)
		}
		return envelope.Signature{KeyID: key.ID, Kind: envelope.SSH, Sig: sig.Marshal()}
	}
	pae := envelope.PAE(order, payload)
	changed := bytes.Clone(good.Sig)
	changed[len(changed)-1] ^= 1
	for name, row := range map[string]struct {
		payloadType string
		payload     []byte
		s           envelope.Signature
	}{
		"other payload":            {order, []byte(`{"a":2}`), good},
		"other payload type":       {curation, payload, good},
		"payload type not ours":    {"text/plain", payload, with(signer, envelope.PAE("text/plain", payload), sshsig.HashSHA512, "file")},
		"namespace of another use": {order, payload, with(signer, pae, sshsig.HashSHA512, "git")},
		"namespace of other type":  {order, payload, with(signer, pae, sshsig.HashSHA512, envelope.Namespace(curation))},
		"payload without PAE":      {order, payload, with(signer, payload, sshsig.HashSHA512, envelope.Namespace(order))},
		"sha256":                   {order, payload, with(signer, pae, sshsig.HashSHA256, envelope.Namespace(order))},
		"by another key":           {order, payload, with(stranger, pae, sshsig.HashSHA512, envelope.Namespace(order))},
		"key ID of another":        {order, payload, envelope.Signature{KeyID: "SHA256:x", Kind: envelope.SSH, Sig: good.Sig}},
		"another kind":             {order, payload, envelope.Signature{KeyID: key.ID, Kind: envelope.Ed25519, Sig: good.Sig}},
		"an assertion beside it":   {order, payload, envelope.Signature{KeyID: key.ID, Kind: envelope.SSH, Sig: good.Sig, Assertion: &envelope.Assertion{}}},
		"a bit changed":            {order, payload, envelope.Signature{KeyID: key.ID, Kind: envelope.SSH, Sig: changed}},
		"bytes after it":           {order, payload, envelope.Signature{KeyID: key.ID, Kind: envelope.SSH, Sig: append(bytes.Clone(good.Sig), 0)}},
		"empty":                    {order, payload, envelope.Signature{KeyID: key.ID, Kind: envelope.SSH}},
	} {
		if _, err := key.Verify(row.payloadType, row.payload, row.s); fault.CodeOf(err) != fault.BadSignature {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sshkey.Sign(signer, "text/plain", payload); err == nil {
		t.Error("signed a payload type that is not ours")
	}
}

func TestHardwareKeyFlags(t *testing.T) {
	for name, row := range map[string]struct {
		flags byte
		rest  int
		ok    bool
	}{
		"touched and verified":      {0x05, 5, true},
		"not touched":               {0x04, 5, false},
		"not verified":              {0x01, 5, false},
		"neither":                   {0x00, 5, false},
		"no flags in the signature": {0x05, 0, false},
		"flags cut short":           {0x05, 1, false},
	} {
		token := envelopetest.NewToken(t)
		token.Flags, token.Rest = row.flags, row.rest
		s, err := sshkey.Sign(token, order, payload)
		if err != nil {
			t.Fatal(err)
		}
		p, err := keyOf(t, token.PublicKey()).Verify(order, payload, s)
		if (err == nil) != row.ok || row.ok && !(p.Hardware && p.UserPresent && p.UserVerified) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestKeysRefused(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaSigner, err := ssh.NewSignerFromKey(small)
	if err != nil {
		t.Fatal(err)
	}
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	signer, good := sshKey(t, private)
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{
		"rsa of 2048 bits": string(ssh.MarshalAuthorizedKey(rsaSigner.PublicKey())),
		"a certificate":    string(ssh.MarshalAuthorizedKey(cert)),
		"options":          "command=\"x\" " + good.Public,
		"half a line":      "ssh-ed25519",
		"nothing":          "",
	} {
		if _, err := sshkey.Read(line); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	host := envelope.Ed25519Key(private.Public().(ed25519.PublicKey))
	pass := envelopetest.NewPasskey(t).Key
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := pass.Check(); err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]envelope.Key{
		"ID of another SSH key":    {ID: "SHA256:x", Kind: envelope.SSH, Public: good.Public},
		"another type than said":   {ID: good.ID, Kind: envelope.SSH, Public: "ssh-rsa " + strings.Fields(good.Public)[1]},
		"a comment":                {ID: good.ID, Kind: envelope.SSH, Public: good.Public + " me"},
		"ID of another host":       {ID: "ed25519:00", Kind: envelope.Ed25519, Public: host.Public},
		"host key cut short":       {ID: host.ID, Kind: envelope.Ed25519, Public: host.Public[:40]},
		"unknown kind":             {ID: host.ID, Kind: "pgp", Public: host.Public},
		"passkey without origins":  {ID: pass.ID, Kind: envelope.WebAuthn, Public: pass.Public, RPID: pass.RPID},
		"passkey without rp_id":    {ID: pass.ID, Kind: envelope.WebAuthn, Public: pass.Public, Origins: pass.Origins},
		"passkey without ID":       {ID: "webauthn:", Kind: envelope.WebAuthn, Public: pass.Public, RPID: pass.RPID, Origins: pass.Origins},
		"passkey that is no SPKI":  {ID: pass.ID, Kind: envelope.WebAuthn, Public: host.Public, RPID: pass.RPID, Origins: pass.Origins},
		"passkey on another curve": envelopetest.PasskeyOf(t, p384).Key,
		"passkey with Ed25519":     envelopetest.PasskeyOf(t, private).Key,
	} {
		if err := k.Check(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := k.Verify(order, payload, envelope.Signature{KeyID: k.ID, Kind: k.Kind}); fault.CodeOf(err) != fault.BadSignature {
			t.Errorf("%s: verify says %v", name, err)
		}
	}
}

func TestEd25519(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	key, s := envelope.Ed25519Key(public), envelope.SignEd25519(private, order, payload)
	if _, err := key.Verify(order, payload, s); err != nil {
		t.Error(err)
	}
	if _, err := key.Verify(curation, payload, s); fault.CodeOf(err) != fault.BadSignature {
		t.Errorf("other payload type: %v", err)
	}
}

// One row per attack on a passkey's assertion.
func TestWebAuthn(t *testing.T) {
	replace := func(old, new string) func(*envelopetest.Passkey) {
		return func(p *envelopetest.Passkey) {
			p.Client = func(c *[]byte) {
				if *c = bytes.Replace(*c, []byte(old), []byte(new), 1); !bytes.Contains(*c, []byte(new)) {
					t.Fatalf("%q is not there", old)
				}
			}
		}
	}
	for _, row := range []struct {
		name string
		do   func(*envelopetest.Passkey)
		ok   bool
	}{
		{"as browsers send it", func(*envelopetest.Passkey) {}, true},
		{"with a word the browser added", replace(`}`, `,"other_keys_can_be_added_here":"do not compare clientDataJSON against a template. See https://goo.gl/yabPex"}`), true},
		{"without crossOrigin", replace(`,"crossOrigin":false`, ``), true},
		{"with an extension", func(p *envelopetest.Passkey) { p.Flags |= 0x80; p.Extension = []byte{0xa0} }, true},
		{"a registration", replace("webauthn.get", "webauthn.create"), false},
		{"for a payment", replace("webauthn.get", "payment.get"), false},
		{"another challenge", replace(`"challenge":"`, `"challenge":"A`), false},
		{"another origin", replace("https://patch.example.org", "https://evil.example.org"), false},
		{"an origin that begins alike", replace("https://patch.example.org", "https://patch.example.org.evil"), false},
		{"not encrypted", replace("https://", "http://"), false},
		{"inside another page", replace(`"crossOrigin":false`, `"crossOrigin":true`), false},
		{"inside another page, said twice", replace(`}`, `,"crossOrigin":true}`), false},
		{"inside another page, named", replace(`}`, `,"topOrigin":"https://evil.example.org"}`), false},
		{"type said twice", replace(`}`, `,"type":"webauthn.create"}`), false},
		{"challenge said twice", replace(`}`, `,"challenge":"x"}`), false},
		{"origin said twice, in other case", replace(`}`, `,"Origin":"x"}`), false},
		{"origin said twice, hidden by an escape", replace(`}`, `,"\u006frigin":"x"}`), false},
		{"not JSON", replace(`}`, `,}`), false},
		{"data after the object", replace(`}`, `}{}`), false},
		{"too long", replace(`}`, `,"x":"`+strings.Repeat("x", 4096)+`"}`), false},
		{"another relying party", func(p *envelopetest.Passkey) { p.RPID = "evil.example.org" }, false},
		{"not touched", func(p *envelopetest.Passkey) { p.Flags = 0x04 }, false},
		{"not verified", func(p *envelopetest.Passkey) { p.Flags = 0x01 }, false},
		{"can be copied", func(p *envelopetest.Passkey) { p.Flags = 0x0d }, false},
		{"was copied", func(p *envelopetest.Passkey) { p.Flags = 0x15 }, false},
		{"bytes nobody announced", func(p *envelopetest.Passkey) { p.Extension = []byte{0xa0} }, false},
		{"extension announced, not there", func(p *envelopetest.Passkey) { p.Flags |= 0x80 }, false},
	} {
		p := envelopetest.NewPasskey(t)
		row.do(p)
		s := p.Sign(order, payload)
		proof, err := p.Key.Verify(order, payload, s)
		if (err == nil) != row.ok || err != nil && fault.CodeOf(err) != fault.BadSignature {
			t.Errorf("%s: %v", row.name, err)
		}
		if row.ok && proof != (envelope.Proof{KeyID: p.Key.ID, Kind: envelope.WebAuthn, UserPresent: true, UserVerified: true, Hardware: true}) {
			t.Errorf("%s: %+v", row.name, proof)
		}
	}
	p := envelopetest.NewPasskey(t)
	s := p.Sign(order, payload)
	for name, spoil := range map[string]func(s *envelope.Signature){
		"flags changed":     func(s *envelope.Signature) { s.Assertion.AuthenticatorData[32] ^= 0x02 },
		"counter changed":   func(s *envelope.Signature) { s.Assertion.AuthenticatorData[36]++ },
		"signature changed": func(s *envelope.Signature) { s.Sig[len(s.Sig)-1] ^= 1 },
		"data cut short":    func(s *envelope.Signature) { s.Assertion.AuthenticatorData = s.Assertion.AuthenticatorData[:36] },
		"client data moved": func(s *envelope.Signature) {
			s.Assertion.ClientDataJSON = append([]byte(" "), s.Assertion.ClientDataJSON...)
		},
		"no assertion": func(s *envelope.Signature) { s.Assertion = nil },
	} {
		bad := envelope.Signature{KeyID: s.KeyID, Kind: s.Kind, Sig: bytes.Clone(s.Sig), Assertion: &envelope.Assertion{
			AuthenticatorData: bytes.Clone(s.Assertion.AuthenticatorData), ClientDataJSON: bytes.Clone(s.Assertion.ClientDataJSON)}}
		spoil(&bad)
		if _, err := p.Key.Verify(order, payload, bad); fault.CodeOf(err) != fault.BadSignature {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.Key.Verify(curation, payload, s); fault.CodeOf(err) != fault.BadSignature {
		t.Errorf("other payload type: %v", err)
	}
}

func TestSSHKeygenAgrees(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("no ssh-keygen on this machine")
	}
	dir := t.TempDir()
	run := func(stdin []byte, args ...string) {
		t.Helper()
		c := exec.Command("ssh-keygen", args...)
		c.Dir, c.Stdin = dir, bytes.NewReader(stdin)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen %q: %v\n%s", args, err, out)
		}
	}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		run(nil, "-q", "-t", kind, "-N", "", "-C", "alice", "-f", kind)
		line, err := os.ReadFile(filepath.Join(dir, kind+".pub"))
		if err != nil {
			t.Fatal(err)
		}
		key, err := sshkey.Read(string(line))
		if err != nil {
			t.Fatal(err)
		}
		pae := filepath.Join(dir, kind+".pae")
		if err := os.WriteFile(pae, envelope.PAE(order, payload), 0o600); err != nil {
			t.Fatal(err)
		}
		run(nil, "-q", "-Y", "sign", "-f", kind, "-n", envelope.Namespace(order), pae)
		armoured, err := os.ReadFile(pae + ".sig")
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := sshsig.Unarmor(armoured)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := key.Verify(order, payload, envelope.Signature{KeyID: key.ID, Kind: envelope.SSH, Sig: theirs.Marshal()}); err != nil {
			t.Errorf("%s: ours says %v", kind, err)
		}
		pem, err := os.ReadFile(filepath.Join(dir, kind))
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.ParsePrivateKey(pem)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := sshkey.Sign(signer, order, payload)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := sshsig.ParseSignature(ours.Sig)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "ours.sig"), sshsig.Armor(sig), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "allowed"), append([]byte("alice "), line...), 0o600); err != nil {
			t.Fatal(err)
		}
		run(envelope.PAE(order, payload), "-Y", "verify", "-f", "allowed", "-I", "alice", "-n", envelope.Namespace(order), "-s", "ours.sig")
	}
}

func TestAgentSigns(t *testing.T) {
	ours, theirs := net.Pipe()
	keyring := agent.NewKeyring()
	go agent.ServeAgent(keyring, theirs)
	defer ours.Close()
	for name, private := range privateKeys(t) {
		if err := keyring.Add(agent.AddedKey{PrivateKey: private, Comment: name}); err != nil {
			t.Fatal(err)
		}
	}
	signers, err := agent.NewClient(ours).Signers()
	if err != nil || len(signers) != 3 {
		t.Fatal(len(signers), err)
	}
	for _, signer := range signers {
		s, err := sshkey.Sign(signer, order, payload)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keyOf(t, signer.PublicKey()).Verify(order, payload, s); err != nil {
			t.Error(err)
		}
	}
}

type document struct {
	Class string    `json:"class"`
	N     int64     `json:"n"`
	At    time.Time `json:"at"`
	Bytes []byte    `json:"bytes"`
}

func TestDecodeIsStrict(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 123456000, time.UTC)
	good, err := envelope.Encode(document{"a<b>&c", 9007199254740993, at, []byte{1}})
	if want := `{"class":"a<b>&c","n":9007199254740993,"at":"2026-11-21T12:00:00.123456Z","bytes":"AQ=="}`; err != nil || string(good) != want {
		t.Fatalf("%s, %v", good, err)
	}
	var d document
	if err := envelope.Decode(good, &d); err != nil || d.N != 9007199254740993 {
		t.Fatalf("%+v, %v", d, err)
	}
	for name, change := range map[string][2]string{
		"duplicate key":                 {`"n":`, `"class":"x","n":`},
		"key in other case":             {`"class"`, `"Class"`},
		"second key in other case":      {`"n":`, `"CLASS":"x","n":`},
		"key with a letter like s":      {`"class"`, `"claſs"`},
		"unknown key":                   {`"n":`, `"x":1,"n":`},
		"missing key":                   {`"class":"a<b>&c",`, ``},
		"other order":                   {`{"class":"a<b>&c",`, `{"at":"2026-11-21T12:00:00.123456Z","class":"a<b>&c",`},
		"space":                         {`"n":`, ` "n":`},
		"escape":                        {`a<b>`, `a\u003cb>`},
		"exponent":                      {`9007199254740993`, `9e15`},
		"fraction":                      {`9007199254740993`, `1.0`},
		"number as text":                {`9007199254740993`, `"1"`},
		"offset":                        {`.123456Z`, `.123456+01:00`},
		"zero offset":                   {`.123456Z`, `.123456+00:00`},
		"fraction with zeros":           {`.123456Z`, `.123456000Z`},
		"base64 with loose bits":        {`AQ==`, `AR==`},
		"base64 with a line break":      {`AQ==`, `A\nQ==`},
		"bytes that are not UTF-8":      {`a<b>`, "a\xff"},
		"data after the document":       {`"AQ=="}`, `"AQ=="}{}`},
		"line break after the document": {`"AQ=="}`, "\"AQ==\"}\n"},
	} {
		b := bytes.Replace(good, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(b, good) {
			t.Fatalf("%s: nothing to change", name)
		}
		if err := envelope.Decode(b, new(document)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	long, err := envelope.Encode(document{Class: strings.Repeat("x", envelope.MaxPayload), At: at})
	if err != nil {
		t.Fatal(err)
	}
	if err := envelope.Decode(long, new(document)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("too long: %v", err)
	}
	if err := envelope.DecodeUpTo(2*envelope.MaxPayload, long, new(document)); err != nil {
		t.Error(err)
	}
	if _, err := envelope.Encode(document{At: at.In(time.FixedZone("", 3600))}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("time with an offset: %v", err)
	}
}

func TestStatement(t *testing.T) {
	subjects := []envelope.Subject{{Name: "a", Digest: envelope.DigestSet{SHA256: envelope.Digest(nil)}}}
	b, err := envelope.EncodeStatement("https://x/v1", subjects, document{Class: "x"})
	if err != nil {
		t.Fatal(err)
	}
	var generic struct {
		Type      string `json:"_type"`
		Predicate struct{ Class string }
	}
	if err := json.Unmarshal(b, &generic); err != nil || generic.Type != "https://in-toto.io/Statement/v1" || generic.Predicate.Class != "x" {
		t.Errorf("%s, %v", b, err)
	}
	d, got, err := envelope.DecodeStatement[document](b, "https://x/v1")
	if err != nil || d.Class != "x" || len(got) != 1 || got[0] != subjects[0] {
		t.Errorf("%+v, %v, %v", d, got, err)
	}
	if _, _, err := envelope.DecodeStatement[document](b, "https://y/v1"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("another predicate type: %v", err)
	}
	for _, change := range [][2]string{{"Statement/v1", "Statement/v0.1"}, {`"subject":[`, `"subject":null,"x":[`}} {
		bad := bytes.Replace(b, []byte(change[0]), []byte(change[1]), 1)
		if _, _, err := envelope.DecodeStatement[document](bad, "https://x/v1"); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", change[1], err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, err := envelope.EncodeStatement("https://x/v1", nil, document{Class: "x", Bytes: []byte("x")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, subjects, err := envelope.DecodeStatement[document](b, "https://x/v1")
		if err != nil {
			return
		}
		if again, err := envelope.EncodeStatement("https://x/v1", subjects, d); err != nil || !bytes.Equal(again, b) {
			t.Errorf("decoded %q, encodes to %q, %v", b, again, err)
		}
	})
}

// Whatever the client data say, an assertion verifies only if a JSON parser that takes the last of equal keys, and folds
// case, reads an assertion for this document on our origin.
func FuzzClientData(f *testing.F) {
	f.Add(envelopetest.NewPasskey(f).Sign(order, payload).Assertion.ClientDataJSON)
	challenge := base64.RawURLEncoding.EncodeToString(envelopetest.Challenge(order, payload))
	f.Fuzz(func(t *testing.T, client []byte) {
		p := envelopetest.NewPasskey(t)
		p.Client = func(c *[]byte) { *c = client }
		if _, err := p.Key.Verify(order, payload, p.Sign(order, payload)); err != nil {
			return
		}
		var c struct {
			Type, Challenge, Origin, TopOrigin string
			CrossOrigin                        bool
		}
		if err := json.Unmarshal(client, &c); err != nil || c.Type != "webauthn.get" || c.Challenge != challenge || c.Origin != "https://patch.example.org" || c.CrossOrigin || c.TopOrigin != "" {
			t.Errorf("accepted %q: %+v, %v", client, c, err)
		}
	})
}
