package agentapi_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// TestAChangedTreeTravelsAsDeltas: of a directory with a thousand files one changes, outside any order; the next scan brings it.
func TestAChangedTreeTravelsAsDeltas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	dir := filepath.Join(w.machine.places.Root, "usr/share/many")
	check(t, os.MkdirAll(dir, 0o755))
	for i := range 1000 {
		check(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte("content"), 0o644))
	}
	kinds, bytes := map[string]int{}, int64(0)
	w.around = func(door http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				kinds[r.Header.Get("Content-Type")]++
				bytes += r.ContentLength
			}
			door.ServeHTTP(rw, r)
		})
	}
	check(t, w.once())
	first := w.host().Trees["/"]
	if kinds[wire.TreeDelta] != 0 || bytes < 30_000 {
		t.Errorf("the first tree: %v, %d bytes", kinds, bytes)
	}
	check(t, os.WriteFile(filepath.Join(dir, "500"), []byte("planted"), 0o755))
	check(t, w.once())
	if w.host().Trees["/"] != first {
		t.Error("scanned again before the hour was over")
	}
	kinds, bytes = map[string]int{}, 0
	w.clock.pass(time.Hour)
	check(t, w.once())
	changes, err := filetree.Diff(t.Context(), objects{w.blobs}, first, w.host().Trees["/"])
	check(t, err)
	if len(changes) != 1 || changes[0].Path != "/usr/share/many/500" {
		t.Errorf("seen to change: %+v", changes)
	}
	if kinds[wire.TreeDelta]+kinds[wire.TreeObject] != 5 || kinds[wire.TreeDelta] == 0 || bytes > 1000 { // many, share, usr, /, top
		t.Errorf("the second tree: %v, %d bytes", kinds, bytes)
	}
}

func TestDeltasMakeOnlyTheObjectTheyName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	c := w.client(w.identity())
	put := func(kind string, digest string, b []byte) int {
		code, _ := w.ask(c, "PUT", wire.ObjectPath+digest, kind, b)
		return code
	}
	base, next := []byte("pwtree1\n"), []byte("pwtree1\np\x00\x01a\x00\x00\x00\x00\x00\x00")
	fact := []byte("pwtree1\nno directory")
	delta := filetree.Delta(base, next)
	if code := put(wire.TreeDelta, envelope.Digest(next), delta); code != http.StatusNotFound {
		t.Errorf("a delta from what the server lacks: %d", code)
	}
	if put(wire.TreeObject, envelope.Digest(base), base) != http.StatusNoContent || put(wire.FactsObject, envelope.Digest(fact), fact) != http.StatusNoContent {
		t.Fatal("base not taken")
	}
	for name, q := range map[string]struct {
		digest string
		b      []byte
	}{
		"another object":         {envelope.Digest(fact), delta},
		"from what is no tree":   {envelope.Digest(next), filetree.Delta(fact, next)},
		"cut short":              {envelope.Digest(next), delta[:len(delta)-1]},
		"no delta":               {envelope.Digest(next), next},
		"a step beyond the base": {envelope.Digest(next), []byte(strings.Replace(string(delta), "\x00\x08", "\x00\x09", 1))},
	} {
		if code := put(wire.TreeDelta, q.digest, q.b); code != http.StatusBadRequest {
			t.Errorf("%s: status %d", name, code)
		}
	}
	if code := put(wire.TreeDelta, envelope.Digest(next), delta); code != http.StatusNoContent {
		t.Errorf("a right delta: %d", code)
	}
}
