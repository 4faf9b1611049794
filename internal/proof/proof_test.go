package proof_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

func act(i int) proof.Act {
	return proof.Act{Kind: "order.warranted", Subject: fmt.Sprintf("order/ord_%d", i), Prev: -1, At: warranttest.Now, Who: "server", Facts: []string{envelope.Digest(nil)}}
}

func TestFormatCheckpoint(t *testing.T) {
	c := proof.Checkpoint{Origin: "example.org/log", Size: 7, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	want := "example.org/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nat 2026-01-02T03:04:05Z\n"
	if got := proof.FormatCheckpoint(c); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOpenCheckpoint(t *testing.T) {
	log := warranttest.NewLog(t, warranttest.Origin)
	log.Append(act(0))
	keys, text := []string{log.VerifierKey}, log.Sign(log.Head())
	c, err := proof.OpenCheckpoint(text, keys, warranttest.Origin)
	if diff := cmp.Diff(log.Head(), c); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	witness := warranttest.NewLog(t, "witness.example.org")
	n, err := note.Open([]byte(text), verifiers(t, log.VerifierKey))
	if err != nil {
		t.Fatal(err)
	}
	cosigned, err := note.Sign(n, witness.Signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proof.OpenCheckpoint(string(cosigned), keys, warranttest.Origin); err != nil {
		t.Errorf("with a witness: %v", err)
	}
	sign := func(change func(lines []string)) string {
		lines := strings.Split(proof.FormatCheckpoint(log.Head()), "\n")
		change(lines)
		b, err := note.Sign(&note.Note{Text: strings.Join(lines, "\n")}, log.Signer)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, bad := range map[string]string{
		"by the witness alone":    sign2(t, witness, proof.FormatCheckpoint(log.Head())),
		"unsigned":                proof.FormatCheckpoint(log.Head()),
		"edited":                  strings.Replace(text, "\n1\n", "\n2\n", 1),
		"of another log":          sign(func(l []string) { l[0] = "other.example.org" }),
		"size with a zero before": sign(func(l []string) { l[1] = "01" }),
		"size with a sign":        sign(func(l []string) { l[1] = "+1" }),
		"negative size":           sign(func(l []string) { l[1] = "-1" }),
		"size beyond all logs":    sign(func(l []string) { l[1] = "9223372036854775807" }),
		"root cut short":          sign(func(l []string) { l[2] = l[2][:40] }),
		"root too long":           sign(func(l []string) { l[2] = "AAAA" + l[2] }),
		"root with loose bits":    sign(func(l []string) { l[2] = strings.TrimRight(l[2], "=")[:42] + "B=" }),
		"no time":                 sign(func(l []string) { l[3] = "" }),
		"time with an offset":     sign(func(l []string) { l[3] = "at 2026-01-02T03:04:05+01:00" }),
		"time with a fraction":    sign(func(l []string) { l[3] = "at 2026-01-02T03:04:05.5Z" }),
		"a line more":             sign(func(l []string) { l[3] += "\nmore" }),
		"too long":                text + strings.Repeat("— x AAAAAAAAAAAA\n", 2000),
		"empty":                   "",
	} {
		if _, err := proof.OpenCheckpoint(bad, keys, warranttest.Origin); fault.CodeOf(err) != fault.Unlogged {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func verifiers(t *testing.T, key string) note.Verifiers {
	v, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	return note.VerifierList(v)
}

func sign2(t *testing.T, log *warranttest.Log, text string) string {
	b, err := note.Sign(&note.Note{Text: text}, log.Signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLogged(t *testing.T) {
	log := warranttest.NewLog(t, warranttest.Origin)
	for i := range 9 {
		log.Append(act(i))
	}
	good := log.Append(act(9))
	keys := []string{log.VerifierKey}
	a, c, err := good.Verify(keys, warranttest.Origin)
	if diff := cmp.Diff(act(9), a); err != nil || diff != "" || c.Size != 10 {
		t.Fatal(err, diff, c)
	}
	for name, spoil := range map[string]func(l *proof.Logged){
		"entry edited":        func(l *proof.Logged) { l.Entry = append([]byte(" "), l.Entry...) },
		"another index":       func(l *proof.Logged) { l.Index = 8 },
		"index beyond":        func(l *proof.Logged) { l.Index++ },
		"negative index":      func(l *proof.Logged) { l.Index = -1 },
		"a hash edited":       func(l *proof.Logged) { l.Hashes[0] = make([]byte, 32) },
		"a hash too short":    func(l *proof.Logged) { l.Hashes[0] = l.Hashes[0][:31] },
		"a hash too long":     func(l *proof.Logged) { l.Hashes[0] = append(l.Hashes[0], 0) },
		"a hash left out":     func(l *proof.Logged) { l.Hashes = l.Hashes[1:] },
		"a hash more":         func(l *proof.Logged) { l.Hashes = append(l.Hashes, make([]byte, 32)) },
		"64 hashes":           func(l *proof.Logged) { l.Hashes = make([][]byte, 64) },
		"another checkpoint":  func(l *proof.Logged) { l.Checkpoint = "" },
		"entry beyond limits": func(l *proof.Logged) { l.Entry = make([]byte, proof.MaxEntry+1) },
	} {
		l := log.Append(act(9))
		spoil(&l)
		if _, _, err := l.Verify(keys, warranttest.Origin); fault.CodeOf(err) != fault.Unlogged {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Of all logs up to 40 acts, every later one continues every earlier one, and none continues a changed one.
func TestVerifyConsistency(t *testing.T) {
	log := warranttest.NewLog(t, warranttest.Origin)
	heads := []proof.Checkpoint{{Origin: warranttest.Origin}}
	for i := range 40 {
		log.Append(act(i))
		heads = append(heads, log.Head())
	}
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.IntRange(1, 40).Draw(t, "old")
		n := rapid.IntRange(m, 40).Draw(t, "new")
		path, err := tlog.ProveTree(int64(n), int64(m), log)
		if err != nil {
			t.Fatal(err)
		}
		var hashes [][]byte
		for _, h := range path {
			hashes = append(hashes, h[:])
		}
		if err := proof.VerifyConsistency(heads[m], heads[n], hashes); err != nil {
			t.Fatal(err)
		}
		old := heads[m]
		old.Root[0] ^= 1
		if err := proof.VerifyConsistency(old, heads[n], hashes); fault.CodeOf(err) != fault.LogRollback {
			t.Fatalf("another past: %v", err)
		}
		if err := proof.VerifyConsistency(heads[n], heads[m], hashes); m < n && fault.CodeOf(err) != fault.LogRollback {
			t.Fatalf("backwards: %v", err)
		}
		if err := proof.VerifyConsistency(heads[m], heads[n], append(hashes, make([]byte, 32))); fault.CodeOf(err) != fault.LogRollback {
			t.Fatalf("a hash more: %v", err)
		}
	})
	if err := proof.VerifyConsistency(heads[0], heads[5], nil); err != nil {
		t.Errorf("after nothing: %v", err)
	}
	if err := proof.VerifyConsistency(heads[0], heads[5], [][]byte{make([]byte, 32)}); fault.CodeOf(err) != fault.LogRollback {
		t.Errorf("after nothing, with a proof: %v", err)
	}
	other := heads[5]
	other.Origin = "other"
	if err := proof.VerifyConsistency(heads[5], other, nil); fault.CodeOf(err) != fault.LogRollback {
		t.Errorf("another log: %v", err)
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	log := warranttest.NewLog(f, warranttest.Origin)
	log.Append(act(0))
	f.Add(proof.FormatCheckpoint(log.Head()))
	f.Add(log.Sign(log.Head()))
	keys := []string{log.VerifierKey}
	f.Fuzz(func(t *testing.T, text string) {
		proof.OpenCheckpoint(text, keys, warranttest.Origin)
		signed, err := note.Sign(&note.Note{Text: text}, log.Signer)
		if err != nil {
			return
		}
		if c, err := proof.OpenCheckpoint(string(signed), keys, warranttest.Origin); err == nil && proof.FormatCheckpoint(c) != text {
			t.Errorf("%q was read as %q", text, proof.FormatCheckpoint(c))
		}
	})
}
