package warrant_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

func sample(t testing.TB) (warrant.Order, warrant.Record) {
	w := warranttest.New(t)
	record := w.Record([]byte("index"), warranttest.Package("hello", "1.1", []byte("deb")), warranttest.Package("libhello", "1:1.1-1+deb12u1", []byte("lib")))
	return w.Order(record), record
}

func TestOrderSurvivesEncoding(t *testing.T) {
	o, r := sample(t)
	o.Stage = &warrant.StageRef{Order: "ord_0", Manifest: envelope.Digest(nil)}
	o.Transactions[0].Actions[0].Do, o.Transactions[0].Actions[0].From = "install", ""
	o.Transactions[0].Actions = append(o.Transactions[0].Actions, warrant.Action{Do: "remove", Name: "old", Arch: "all", From: "3-1"})
	payload, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := warrant.DecodeOrder(payload)
	if diff := cmp.Diff(o, again); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if payload, err = r.Encode(); err != nil {
		t.Fatal(err)
	}
	record, err := warrant.DecodeRecord(payload)
	if diff := cmp.Diff(r, record); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestOrderRules(t *testing.T) {
	for name, spoil := range map[string]func(o *warrant.Order, a *warrant.Action){
		"ID that climbs":            func(o *warrant.Order, _ *warrant.Action) { o.ID = "../x" },
		"ID that is hidden":         func(o *warrant.Order, _ *warrant.Action) { o.ID = ".ord" },
		"unknown class":             func(o *warrant.Order, _ *warrant.Action) { o.Class = trustroot.Curation },
		"no sequence number":        func(o *warrant.Order, _ *warrant.Action) { o.Sequence = 0 },
		"no reason":                 func(o *warrant.Order, _ *warrant.Action) { o.Reason = "" },
		"no transaction":            func(o *warrant.Order, _ *warrant.Action) { o.Transactions = nil },
		"no author":                 func(o *warrant.Order, _ *warrant.Action) { o.Author = "" },
		"expires before it is made": func(o *warrant.Order, _ *warrant.Action) { o.ExpiresAt = o.MadeAt },
		"window that closes first":  func(o *warrant.Order, _ *warrant.Action) { o.Window.ClosesAt = o.Window.OpensAt },
		"time with an offset":       func(o *warrant.Order, _ *warrant.Action) { o.MadeAt = o.MadeAt.In(time.FixedZone("", 3600)) },
		"host twice":                func(o *warrant.Order, _ *warrant.Action) { o.Transactions[0].Hosts = []string{"hst_1", "hst_1"} },
		"host in two transactions":  func(o *warrant.Order, _ *warrant.Action) { o.Transactions = append(o.Transactions, o.Transactions[0]) },
		"root twice on a host": func(o *warrant.Order, _ *warrant.Action) {
			o.Transactions[0].Root = "/srv/chroot"
			o.Transactions = append(o.Transactions, o.Transactions[0])
		},
		"root that is not absolute":   func(o *warrant.Order, _ *warrant.Action) { o.Transactions[0].Root = "srv/chroot" },
		"root that is the host's own": func(o *warrant.Order, _ *warrant.Action) { o.Transactions[0].Root = "/" },
		"root that climbs":            func(o *warrant.Order, _ *warrant.Action) { o.Transactions[0].Root = "/srv/../etc" },
		"root that is not clean":      func(o *warrant.Order, _ *warrant.Action) { o.Transactions[0].Root = "/srv/chroot/" },
		"root with a quote":           func(o *warrant.Order, _ *warrant.Action) { o.Transactions[0].Root = `/srv/"; Evil "` },
		"root with a line break":      func(o *warrant.Order, _ *warrant.Action) { o.Transactions[0].Root = "/srv/chroot\n" },
		"no host":                     func(o *warrant.Order, _ *warrant.Action) { o.Transactions[0].Hosts = nil },
		"no action":                   func(o *warrant.Order, _ *warrant.Action) { o.Transactions[0].Actions = nil },
		"actions to retire a host":    func(o *warrant.Order, _ *warrant.Action) { o.Class = trustroot.RetireHost },
		"package twice":               func(_ *warrant.Order, a *warrant.Action) { a.Name = "libhello" },
		"packages out of order":       func(_ *warrant.Order, a *warrant.Action) { a.Name = "zhello" },
		"unknown verb":                func(_ *warrant.Order, a *warrant.Action) { a.Do = "purge" },
		"option for a name":           func(_ *warrant.Order, a *warrant.Action) { a.Name = "-o" },
		"space in a name":             func(_ *warrant.Order, a *warrant.Action) { a.Name = "hello world" },
		"removal mark in a name":      func(_ *warrant.Order, a *warrant.Action) { a.Name = "hello amd64 1.0 1.1-" },
		"upper case name":             func(_ *warrant.Order, a *warrant.Action) { a.Name = "Hello" },
		"wild card architecture":      func(_ *warrant.Order, a *warrant.Action) { a.Arch = "*" },
		"upgrade from nothing":        func(_ *warrant.Order, a *warrant.Action) { a.From = "" },
		"install from something":      func(_ *warrant.Order, a *warrant.Action) { a.Do = "install" },
		"removal with a package":      func(_ *warrant.Order, a *warrant.Action) { a.Do = "remove" },
		"version with a slash":        func(_ *warrant.Order, a *warrant.Action) { a.To = "1/stable" },
		"version with a line break":   func(_ *warrant.Order, a *warrant.Action) { a.To = "1\n" },
		"no digest":                   func(_ *warrant.Order, a *warrant.Action) { a.SHA256 = "" },
		"digest in upper case":        func(_ *warrant.Order, a *warrant.Action) { a.SHA256 = strings.ToUpper(a.SHA256) },
		"no size":                     func(_ *warrant.Order, a *warrant.Action) { a.Size = 0 },
		"negative size":               func(_ *warrant.Order, a *warrant.Action) { a.Size = -1 },
		"file outside of the pool":    func(_ *warrant.Order, a *warrant.Action) { a.File = "Packages.deb" },
		"file that climbs":            func(_ *warrant.Order, a *warrant.Action) { a.File = "pool/../../etc/x.deb" },
		"file with an empty step":     func(_ *warrant.Order, a *warrant.Action) { a.File = "pool//x.deb" },
		"file that is no package":     func(_ *warrant.Order, a *warrant.Action) { a.File = "pool/x" },
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := sample(t)
			spoil(&o, &o.Transactions[0].Actions[0])
			if _, err := o.Encode(); fault.KindOf(err) != fault.Invalid {
				t.Fatalf("accepted (%v)", err)
			}
		})
	}
}

func copies() []warrant.Copy {
	d := func(s string) string { return envelope.Digest([]byte(s)) }
	c := warrant.Copy{Path: "/usr/lib/libssl.so.3", From: d("old"), To: d("new"), Size: 3, Package: "libssl3", Version: "3.0.17-1~deb12u2", Deb: d("deb")}
	other := c
	other.Path = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"
	return []warrant.Copy{c, other}
}

// An order may be for copies alone; they survive encoding, and each is in its one form.
func TestCopiesOfAnOrder(t *testing.T) {
	o, _ := sample(t)
	o.Transactions = []warrant.Transaction{{Hosts: []string{"hst_1"}, Root: "/srv/chroot", Actions: []warrant.Action{}, Copies: copies()}}
	payload, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := warrant.DecodeOrder(payload)
	if diff := cmp.Diff(o, again); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for name, spoil := range map[string]func(tr *warrant.Transaction, c *warrant.Copy){
		"in the hosts' own root":   func(tr *warrant.Transaction, _ *warrant.Copy) { tr.Root = "" },
		"path that is relative":    func(_ *warrant.Transaction, c *warrant.Copy) { c.Path = "usr/lib/libssl.so.3" },
		"path that climbs":         func(_ *warrant.Transaction, c *warrant.Copy) { c.Path = "/usr/lib/../../etc/passwd" },
		"path that is not clean":   func(_ *warrant.Transaction, c *warrant.Copy) { c.Path = "/usr//lib" },
		"path of a directory":      func(_ *warrant.Transaction, c *warrant.Copy) { c.Path = "/usr/lib/" },
		"path of the root":         func(_ *warrant.Transaction, c *warrant.Copy) { c.Path = "/" },
		"no path":                  func(_ *warrant.Transaction, c *warrant.Copy) { c.Path = "" },
		"path with a space":        func(_ *warrant.Transaction, c *warrant.Copy) { c.Path = "/usr/a b" },
		"path with a line break":   func(_ *warrant.Transaction, c *warrant.Copy) { c.Path = "/usr/a\nb" },
		"path with a null":         func(_ *warrant.Transaction, c *warrant.Copy) { c.Path = "/usr/a\x00b" },
		"path that is too long":    func(_ *warrant.Transaction, c *warrant.Copy) { c.Path = "/" + strings.Repeat("a", 1000) },
		"the same path twice":      func(tr *warrant.Transaction, c *warrant.Copy) { tr.Copies[1].Path = c.Path },
		"paths out of order":       func(tr *warrant.Transaction, c *warrant.Copy) { c.Path = "/zzz" },
		"nothing to start from":    func(_ *warrant.Transaction, c *warrant.Copy) { c.From = "" },
		"no new content":           func(_ *warrant.Transaction, c *warrant.Copy) { c.To = "" },
		"digest in upper case":     func(_ *warrant.Transaction, c *warrant.Copy) { c.To = strings.ToUpper(c.To) },
		"the content that it has":  func(_ *warrant.Transaction, c *warrant.Copy) { c.To = c.From },
		"no size":                  func(_ *warrant.Transaction, c *warrant.Copy) { c.Size = 0 },
		"negative size":            func(_ *warrant.Transaction, c *warrant.Copy) { c.Size = -1 },
		"no package":               func(_ *warrant.Transaction, c *warrant.Copy) { c.Package = "" },
		"option for a package":     func(_ *warrant.Transaction, c *warrant.Copy) { c.Package = "-o" },
		"version with a slash":     func(_ *warrant.Transaction, c *warrant.Copy) { c.Version = "1/stable" },
		"no package digest":        func(_ *warrant.Transaction, c *warrant.Copy) { c.Deb = "" },
		"package digest too short": func(_ *warrant.Transaction, c *warrant.Copy) { c.Deb = c.Deb[1:] },
	} {
		o.Transactions[0].Root, o.Transactions[0].Copies = "/srv/chroot", copies()
		spoil(&o.Transactions[0], &o.Transactions[0].Copies[0])
		if _, err := o.Encode(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: accepted (%v)", name, err)
		}
	}
	o.Transactions[0].Root, o.Transactions[0].Copies = "/srv/chroot", copies()
	o.Class = trustroot.RetireHost
	if _, err := o.Encode(); fault.KindOf(err) != fault.Invalid {
		t.Errorf("copies to retire a host: accepted (%v)", err)
	}
}

func TestRecordRules(t *testing.T) {
	for name, spoil := range map[string]func(r *warrant.Record){
		"packages out of order":   func(r *warrant.Record) { r.Packages[0], r.Packages[1] = r.Packages[1], r.Packages[0] },
		"package twice":           func(r *warrant.Record) { r.Packages[1] = r.Packages[0] },
		"snapshot of other bytes": func(r *warrant.Record) { r.Packages[0].SHA256 = envelope.Digest(nil) },
		"no index":                func(r *warrant.Record) { r.Index = "" },
	} {
		_, r := sample(t)
		spoil(&r)
		if _, err := r.Encode(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: accepted (%v)", name, err)
		}
	}
}

func TestOpenReport(t *testing.T) {
	w := warranttest.New(t)
	private, key := warranttest.ReportKey(t)
	_, stranger := warranttest.ReportKey(t)
	sign := func(r warrant.Report) envelope.Envelope {
		payload, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return envelope.Envelope{PayloadType: warrant.ReportType, Payload: payload, Signatures: []envelope.Signature{envelope.SignEd25519(private, warrant.ReportType, payload)}}
	}
	r := warrant.Report{Host: "hst_1", Order: "ord_1", Outcome: warrant.Done, BegunAt: warranttest.Now, EndedAt: warranttest.Now, Packages: []warrant.Observed{}}
	got, err := warrant.OpenReport(sign(r), key)
	if diff := cmp.Diff(r, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := warrant.OpenReport(sign(r), stranger); fault.CodeOf(err) != fault.BadSignature {
		t.Errorf("by another host: %v", err)
	}
	fine := bytes.Replace(sign(r).Payload, []byte(`"outcome":"done"`), []byte(`"outcome":"fine"`), 1)
	unknown := envelope.Envelope{PayloadType: warrant.ReportType, Payload: fine, Signatures: []envelope.Signature{envelope.SignEd25519(private, warrant.ReportType, fine)}}
	if _, err := warrant.OpenReport(unknown, key); fault.CodeOf(err) != fault.Malformed {
		t.Errorf("unknown outcome: %v", err)
	}
	if _, err := warrant.OpenReport(w.RootEnvelope, key); fault.CodeOf(err) != fault.Malformed {
		t.Errorf("a trust root for a report: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	w := warranttest.New(f)
	record := w.Record([]byte("index"), warranttest.Package("hello", "1.1", []byte("deb")))
	doc := w.Warrant(w.Order(record), record)
	b, err := doc.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, doc.Order.Payload)
	f.Add([]byte("{}"), doc.Curation.Payload)
	o := w.Order(record)
	o.Transactions = append(o.Transactions, warrant.Transaction{Hosts: []string{"hst_1"}, Root: "/srv/chroot", Actions: []warrant.Action{}, Copies: copies()})
	payload, err := o.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("[]"), payload)
	f.Fuzz(func(t *testing.T, b, payload []byte) {
		if doc, err := warrant.Parse(b); err == nil {
			if again, err := doc.Encode(); err != nil || string(again) != string(b) {
				t.Errorf("parsed %q, encodes to %q, %v", b, again, err)
			}
			if l, err := doc.Check(w.Host()); err == nil && l.OrderDigest != envelope.Digest(doc.Order.Payload) {
				t.Error("leave for another order")
			}
		}
		if o, err := warrant.DecodeOrder(payload); err == nil {
			if again, err := o.Encode(); err != nil || string(again) != string(payload) {
				t.Errorf("decoded %q, encodes to %q, %v", payload, again, err)
			}
		}
	})
}

// An order without other roots is, byte for byte, what it was before there were any; one with a root names it beside the hosts,
// and a host has its transactions in their order.
func TestRootsOfAnOrder(t *testing.T) {
	o, _ := sample(t)
	plain, err := o.Encode()
	if err != nil || bytes.Contains(plain, []byte(`"root":`)) || bytes.Contains(plain, []byte(`"copies":`)) || !bytes.Contains(plain, []byte(`"transactions":[{"hosts":["hst_1"],"actions":[`)) {
		t.Errorf("%s, %v", plain, err)
	}
	own := o.Transactions[0]
	o.Transactions = append(o.Transactions, warrant.Transaction{Hosts: []string{"hst_2", "hst_1"}, Root: "/srv/chroot", Actions: own.Actions[:1]})
	payload, err := o.Encode()
	if err != nil || !bytes.Contains(payload, []byte(`{"hosts":["hst_2","hst_1"],"root":"/srv/chroot","actions":[`)) {
		t.Fatalf("%s, %v", payload, err)
	}
	again, err := warrant.DecodeOrder(payload)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o.Transactions, again.For("hst_1")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(o.Transactions[1:], again.For("hst_2")); diff != "" || len(again.For("hst_3")) > 0 {
		t.Error(diff, again.For("hst_3"))
	}
}
