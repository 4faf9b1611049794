package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

func TestPathsOfCarriedFiles(t *testing.T) {
	for path, want := range map[string]bool{
		"InRelease": true, "pool/main/o/openssl/libssl3_3.0.15-1~deb12u1_amd64.deb": true, "pool/g++_4%3a12_amd64.deb": true,
		"": false, ".": false, "..": false, "/etc/passwd": false, "a/../b": false, "a/./b": false, "a//b": false, "a/": false,
		`a\b`: false, "a b": false, "a\x00b": false, "ä": false, strings.Repeat("a", MaxPath+1): false,
	} {
		if got := ValidPath(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

func TestRootsAreAbsoluteAndClean(t *testing.T) {
	for root, want := range map[string]bool{"/": true, "/srv/chroot": true, "": false, "srv": false, "/srv/": false, "/srv/../etc": false, "//": false} {
		if got := ValidRoot(root); got != want {
			t.Errorf("%q: %v", root, got)
		}
	}
}

var (
	digest = strings.Repeat("ab", 32)
	order  = "ord_" + strings.Repeat("0", 26)
)

func goodCheckIn() CheckIn {
	return CheckIn{Counter: 1, At: time.Unix(1, 0), PackageSet: digest, Inventory: digest, Trees: map[string]string{"/": digest}, TrustRootVersion: 1}
}

func TestCheckInIsCheckedFieldByField(t *testing.T) {
	good := goodCheckIn()
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*CheckIn){
		"counter":       func(c *CheckIn) { c.Counter = 0 },
		"at":            func(c *CheckIn) { c.At = time.Time{} },
		"package_set":   func(c *CheckIn) { c.PackageSet = strings.ToUpper(digest) },
		"inventory":     func(c *CheckIn) { c.Inventory = "" },
		"trees, root":   func(c *CheckIn) { c.Trees = map[string]string{"../": digest} },
		"trees, digest": func(c *CheckIn) { c.Trees = map[string]string{"/": "x"} },
		"log":           func(c *CheckIn) { c.Log = LogSeen{Size: 1} },
		"trust root":    func(c *CheckIn) { c.TrustRootVersion = 0 },
		"report_key":    func(c *CheckIn) { c.ReportKey = "AAAA" },
		"doing":         func(c *CheckIn) { c.Doing = &Doing{Order: "../x"} },
	} {
		c := goodCheckIn()
		spoil(&c)
		if err := c.Check(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeKeepsItsLimitAndItsSecrets(t *testing.T) {
	secret := "pwe_secret-token-value"
	for name, text := range map[string]string{
		"over the limit":   `{"token":"` + secret + strings.Repeat(" ", 200) + `"}`,
		"no JSON":          secret,
		"another type":     `{"token":["` + secret + `"]}`,
		"a second one":     `{"token":"` + secret + `"} {}`,
		"fields not valid": `{"token":"` + secret + `"}`,
	} {
		var r EnrolRequest
		err := Decode(strings.NewReader(text), 100, &r)
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error repeats what was read: %v", name, err)
		}
	}
	var m Missing
	if err := Decode(strings.NewReader(`{"digests":[],"asked_by":"a newer agent"}`), 100, &m); err != nil {
		t.Errorf("a field of a newer agent: %v", err)
	}
}

// FuzzDecode: whatever a document is, it is refused or keeps the rules after being written and read again.
func FuzzDecode(f *testing.F) {
	c := goodCheckIn()
	answer := CheckInAnswer{NextSeconds: 300, Work: &Work{OrderID: order, Warrant: []byte("{}"), Files: []File{{Path: "InRelease", SHA256: digest}}}}
	report := Report{Order: order, Envelope: envelope.Envelope{Payload: []byte("x"), Signatures: make([]envelope.Signature, 1)}}
	for _, v := range []any{c, answer, report, EnrolRequest{Token: digest, Name: "web1", CSR: []byte("x")}} {
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []Checker{&CheckIn{}, &CheckInAnswer{}, &Report{}, &EnrolRequest{}, &EnrolAnswer{}, &Inventory{}, &HostFacts{}, &Begin{}} {
			if Decode(bytes.NewReader(b), MaxDocument, v) != nil {
				continue
			}
			again, err := json.Marshal(v)
			if err != nil {
				continue // a time beyond year 9999
			}
			if err := Decode(bytes.NewReader(again), 8*MaxDocument, v); err != nil {
				t.Errorf("%T: %v", v, err)
			}
			if answer, ok := v.(*CheckInAnswer); ok && answer.Work != nil {
				for _, file := range answer.Work.Files {
					if strings.Contains(file.Path, "..") && !ValidPath(file.Path) || strings.HasPrefix(file.Path, "/") {
						t.Errorf("path %q", file.Path)
					}
				}
			}
		}
	})
}
