package filetree

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

func TestDelta(t *testing.T) {
	file := func(name string, size int64) raw { return raw{kind: 'f', name: name, mode: 0o644, size: size} }
	var many []raw
	for i := range 1000 {
		many = append(many, file(fmt.Sprintf("file-%04d", i), int64(i)))
	}
	base := object(many...)
	changed := append([]raw{file("added", 1)}, many...)
	changed[500].size = 1 << 40
	changed = append(changed[:700], changed[701:]...)
	for name, o := range map[string][]byte{"same": base, "empty": object(), "changed": object(changed...), "other": object(file("z", 9))} {
		delta := Delta(base, o)
		back, err := Patch(base, delta)
		if err != nil || !bytes.Equal(back, o) {
			t.Errorf("%s: %v, %d bytes for %d", name, err, len(back), len(o))
		}
		if len(delta) > 300 {
			t.Errorf("%s: the delta has %d bytes", name, len(delta))
		}
		if back, err := Patch(o, Delta(o, base)); err != nil || !bytes.Equal(back, base) {
			t.Errorf("%s, from it: %v", name, err)
		}
	}
	good := Delta(base, object(changed...))
	for _, bad := range [][]byte{nil, []byte(deltaMagic), good[:len(good)-1], append(good, 0xff), append(good, 0, 0x80, 0)} {
		if _, err := Patch(base, bad); err == nil {
			t.Errorf("%d bytes of delta: taken", len(bad))
		}
	}
	if _, err := Patch(base[:100], good); err == nil {
		t.Error("a step beyond the base was taken")
	}
}

func TestBases(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"a/b/c": "1", "a/d/e": "2", "f/g": "3"})
	before := scan(t, root, Options{}, nil)
	build(t, root, map[string]string{"a/b/c": "changed"})
	after := scan(t, root, Options{Start: time.Now()}, before)
	bases := after.Bases(before)
	if len(bases) != 4 { // top, /, a, a/b
		t.Errorf("%d directories can be sent as deltas, want 4", len(bases))
	}
	for digest, base := range bases {
		want, err := after.Get(t.Context(), digest)
		got, err2 := Patch(base, Delta(base, want))
		if err != nil || err2 != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, %v", digest, err, err2)
		}
	}
}

func FuzzPatch(f *testing.F) {
	base := object(raw{kind: 'p', name: "a"}, raw{kind: 'p', name: "b"})
	f.Add(base, Delta(base, object(raw{kind: 'p', name: "b"})))
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		if out, err := Patch(base, delta); err == nil && len(out) > MaxObject {
			t.Errorf("%d bytes", len(out))
		}
		Delta(base, delta)
	})
}
