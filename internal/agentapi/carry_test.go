package agentapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func TestAgentTakesNoFileButTheOrders(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*wire.Work){
		"path above the carry directory": func(k *wire.Work) { k.Files[0].Path = "../../outside" },
		"absolute path":                  func(k *wire.Work) { k.Files[0].Path = "/outside" },
		"order that is a path":           func(k *wire.Work) { k.OrderID = "../../outside" },
		"two files of one name":          func(k *wire.Work) { k.Files = append(k.Files, k.Files[0]) },
		"other bytes":                    func(k *wire.Work) { k.Files[0].SHA256 = strings.Repeat("ab", 32) },
		"other size":                     func(k *wire.Work) { k.Files[0].Size-- },
		"another order's number":         func(k *wire.Work) { k.OrderID = "ord_" + strings.Repeat("0", 26) },
		"a release that is no release":   func(k *wire.Work) { k.Files[0].Size = 1<<20 + 1 },
		"an index nobody signed for":     func(k *wire.Work) { k.Files[1].SHA256 = strings.Repeat("ab", 32) },
		"an index that is no index":      func(k *wire.Work) { k.Files[1].Size = 256<<20 + 1 },
		"a package of another size":      func(k *wire.Work) { k.Files[2].Size = wire.MaxFile },
		"other bytes as the package":     func(k *wire.Work) { k.Files[2].SHA256 = strings.Repeat("ab", 32) },
		"a package nobody signed for": func(k *wire.Work) {
			k.Files = append(k.Files, wire.File{Path: "pool/main/more_1_amd64.deb", SHA256: strings.Repeat("ab", 32), Size: 1})
		},
		"a file that is none of an order's": func(k *wire.Work) {
			k.Files = append(k.Files, wire.File{Path: "more", SHA256: strings.Repeat("ab", 32), Size: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.enrol()
			w.start(files)
			asked := false
			w.around = func(door http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					asked = asked || strings.HasPrefix(r.URL.Path, wire.FilePath)
					if r.URL.Path != wire.CheckInPath {
						door.ServeHTTP(rw, r)
						return
					}
					heard := recorder{header: http.Header{}}
					door.ServeHTTP(&heard, r)
					var answer wire.CheckInAnswer
					if json.Unmarshal(heard.body.Bytes(), &answer) == nil && answer.Work != nil {
						spoil(answer.Work)
						b, err := json.Marshal(answer)
						check(t, err)
						heard.body.Reset()
						heard.body.Write(b)
					}
					rw.Write(heard.body.Bytes())
				})
			}
			for range 3 {
				if err := w.once(); err == nil {
					t.Error("a round with a spoilt order succeeded")
				}
			}
			if w.machine.ran(w.rollout.order) != 0 || w.rollout.state == "begun" {
				t.Error("the order reached the executor")
			}
			if inRelease := name == "other bytes" || name == "other size"; asked && !inRelease { // it is signed anew each week: no order names its digest
				t.Error("a file was asked for")
			}
			filepath.WalkDir(filepath.Dir(w.machine.places.Root), func(path string, _ os.DirEntry, _ error) error {
				if filepath.Base(path) == "outside" {
					t.Errorf("written outside of the carry directory: %s", path)
				}
				return nil
			})
		})
	}
}

// TestAReleaseSignedAnewMeanwhileIsOfferedAgain: the server signs it each day; an agent that was away when it did takes the order anew.
func TestAReleaseSignedAnewMeanwhileIsOfferedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.start(files)
	away := true
	w.around = func(door http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if away && strings.HasPrefix(r.URL.Path, wire.FilePath) {
				panic(http.ErrAbortHandler)
			}
			door.ServeHTTP(rw, r)
		})
	}
	if err := w.once(); err == nil {
		t.Fatal("a round without files succeeded")
	}
	away = false
	w.rollout.mu.Lock()
	w.rollout.files["InRelease"] = []byte("RELEASE")
	w.rollout.mu.Unlock()
	if err := w.once(); err == nil {
		t.Error("other bytes than the offer names were taken")
	}
	w.finish()
	w.carried()
}

// TestWhatIsNoWarrantIsCarriedWithoutFiles: the server made an order for itself, of as many packages as it likes. The
// executor refuses it, with its signature; nothing is downloaded for that.
func TestWhatIsNoWarrantIsCarriedWithoutFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.start(files)
	w.rollout.document.Order.Signatures = w.rollout.document.Order.Signatures[:1]
	w.around = func(door http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, wire.FilePath) {
				t.Errorf("asked for %s", r.URL.Path)
			}
			door.ServeHTTP(rw, r)
		})
	}
	w.finish()
	w.carried()
}

// TestAnOrderBeforeItsWindowIsLeftWithTheServer: by the host's clock, which may be a little behind.
func TestAnOrderBeforeItsWindowIsLeftWithTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.start(files)
	w.clock.pass(-3 * time.Minute)
	check(t, w.once())
	if w.rollout.state != "waiting" {
		t.Fatal("it was taken before its window")
	}
	w.clock.pass(3 * time.Minute)
	w.finish()
	w.carried()
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(int)             {}
