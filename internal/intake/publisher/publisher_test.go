package publisher_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/csaf"
	"github.com/patchwarrant/patchwarrant/internal/intake/publisher"
)

// shelf is a publisher: files by path, and which were asked for.
type shelf struct {
	*httptest.Server
	files map[string]string
	asked []string
}

func open(t *testing.T, files map[string]string) (*shelf, publisher.Site) {
	t.Helper()
	s := &shelf{files: files}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, strings.TrimPrefix(r.URL.Path, "/"))
		switch content, ok := s.files[strings.TrimPrefix(r.URL.Path, "/")]; {
		case !ok:
			http.NotFound(w, r)
		case strings.HasPrefix(content, "-> "):
			http.Redirect(w, r, content[3:], http.StatusFound)
		case content == "broken":
			http.Error(w, "broken", http.StatusBadGateway)
		default:
			if _, err := io.WriteString(w, strings.ReplaceAll(content, "{URL}", s.URL)); err != nil {
				t.Error(err)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s, publisher.Site{Client: &http.Client{CheckRedirect: publisher.StayHome}, URL: s.URL + "/data/", IsDocument: csaf.IsDocument, Largest: 1000}
}

// taken gives the paths of a delivery, with "?" behind those that are missing.
func taken(t *testing.T, d intake.Delivery) (paths string, err error) {
	t.Helper()
	var all []string
	err = d.Each(func(f intake.File) error {
		if f.Missing {
			f.Path += "?"
		} else if _, err := io.ReadAll(f.Body); err != nil {
			return err
		}
		all = append(all, f.Path)
		return nil
	})
	sort.Strings(all)
	return strings.Join(all, " "), err
}

const changes = `"2024/b.json","2024-08-15T11:45:05+00:00"
"2024/a.json","2024-08-11T08:04:44+00:00"
"2024/index.html","2024-08-11T08:04:44+00:00"
"2011/lost.json","2024-04-21T02:19:38+00:00"
`

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestRedHatsChangesBringOnlyWhatChanged(t *testing.T) {
	s, site := open(t, map[string]string{"data/changes.csv": changes, "data/2024/a.json": "{}", "data/2024/b.json": "{}", "data/2024/b.json.sha256": "00",
		"data/deletions.csv": `"2024/gone.json","2024-08-16T00:00:00+00:00"
"2024/b.json","2024-08-14T00:00:00+00:00"
"2024/back.json","2024-08-14T00:00:00+00:00"
"2024/never.json","2024-08-14T00:00:00+00:00"
`})
	known := []intake.Document{{Path: "2024/a.json", Digest: "x", Revised: at("2024-08-11T08:04:44Z")}, {Path: "2024/b.json", Digest: "x", Revised: at("2024-08-13T00:00:00Z")},
		{Path: "2024/gone.json", Digest: "x", Revised: at("2024-08-13T00:00:00Z")}, {Path: "2024/back.json", Digest: "x", Revised: at("2024-08-20T00:00:00Z")}}
	d, err := site.RedHat(t.Context(), known)
	if err != nil || d.Whole {
		t.Fatal(d, err)
	}
	paths, err := taken(t, d)
	if err != nil || paths != "2011/lost.json? 2024/b.json 2024/b.json.sha256" {
		t.Errorf("brought %s, %v", paths, err)
	}
	if d := cmp.Diff([]string{"2024/gone.json"}, d.Gone); d != "" {
		t.Error(d)
	}
	s.files["data/2024/b.json"] = "broken"
	if _, err := taken(t, d); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a server that fails is no refusal: %v", err)
	}
}

func TestRedHatsArchive(t *testing.T) {
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "2024/a.json", Size: 2, Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "{}"); err != nil {
		t.Fatal(err)
	}
	if w.Close() != nil || z.Close() != nil {
		t.Fatal("not packed")
	}
	s, site := open(t, map[string]string{"data/archive_latest.txt": "all_2024-08-11.tar.zst\n", "data/all_2024-08-11.tar.zst": packed.String(), "data/all_2024-08-11.tar.zst.asc": "good"})
	site.Verify = func(signed io.ReadSeeker, signature []byte) (string, error) {
		if string(signature) != "good" {
			return "", fault.Refuse(fault.BadSignature, "bad")
		}
		return "f00", nil
	}
	c := intake.Collection{IsDocument: csaf.IsDocument, MaxDocument: 1000, MaxFiles: 10, MaxUnpacked: 1000}
	d, done, err := site.RedHatArchive(t.Context(), c)
	if err != nil || !d.Whole || d.SignedBy != "f00" {
		t.Fatal(d, err)
	}
	if paths, err := taken(t, d); err != nil || paths != "2024/a.json" {
		t.Errorf("%s, %v", paths, err)
	}
	done()
	s.files["data/all_2024-08-11.tar.zst.asc"] = "bad"
	if _, _, err := site.RedHatArchive(t.Context(), c); fault.CodeOf(err) != fault.BadSignature {
		t.Errorf("a bad signature: %v", err)
	}
	for _, name := range []string{"../../etc/passwd.tar.gz", "http://example.org/x.tar.gz", "", "a.exe"} {
		s.files["data/archive_latest.txt"] = name
		if _, _, err := site.RedHatArchive(t.Context(), c); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}

const rolie = `{"feed":{"entry":[{"updated":"2026-01-02T00:00:00Z","link":[{"rel":"self","href":"{URL}/data/white/a.json"}],"content":{"src":"{URL}/other.json"}},
{"updated":"2026-01-02T00:00:00Z","content":{"src":"b.json"}}]}}`

func TestAProvidersFeedsAndDirectories(t *testing.T) {
	s, site := open(t, map[string]string{"data/white/a.json": "{}", "data/white/a.json.sha512": "00", "data/white/b.json": "{}", "data/white/white-feed.json": rolie,
		"data/white/changes.csv": `"a.json","2026-01-02T00:00:00Z"` + "\n"})
	for _, c := range []struct{ url, metadata, want string }{
		{"data/provider-metadata.json", `{"distributions":[{"rolie":{"feeds":[{"url":"{URL}/data/white/white-feed.json"}]}},{"directory_url":"{URL}/data/white"}]}`, "a.json a.json.sha512 b.json"},
		{"data/provider-metadata.json", `{"distributions":[{"directory_url":"{URL}/data/white"}]}`, "a.json a.json.sha512"},
		{"data/white/white-feed.json", "", "a.json a.json.sha512 b.json"},
		{"data/white/", "", "a.json a.json.sha512"},
	} {
		s.files["data/provider-metadata.json"] = c.metadata
		site.URL = s.URL + "/" + c.url
		d, err := site.Provider(t.Context(), []intake.Document{{Path: "old.json"}, {Path: "b.json", Digest: "x", Listed: at("2026-01-01T00:00:00Z")}})
		if err != nil || len(d.Gone) == 0 {
			t.Fatal(c, d, err)
		}
		if paths, err := taken(t, d); err != nil || paths != c.want {
			t.Errorf("%s: %s, %v; want %s", c.url, paths, err, c.want)
		}
		known := []intake.Document{{Path: "a.json", Digest: "x", Listed: at("2026-01-02T00:00:00Z")}, {Path: "b.json", Digest: "x", Listed: at("2026-01-02T00:00:00Z")}}
		if d, err = site.Provider(t.Context(), known); err != nil {
			t.Fatal(err)
		}
		if paths, err := taken(t, d); err != nil || paths != "" {
			t.Errorf("%s: nothing changed, and %s came; %v", c.url, paths, err)
		}
	}
}

// TestAListLeadsNowhereElse: whoever writes a publisher's lists cannot make the server ask another host, port or scheme, nor
// climb out of a directory by tricks of writing.
func TestAListLeadsNowhereElse(t *testing.T) {
	asked := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer inside.Close()
	for name, files := range map[string]map[string]string{
		"a feed elsewhere":           {"m": `{"distributions":[{"rolie":{"feeds":[{"url":"` + inside.URL + `/feed.json"}]}}]}`},
		"a directory elsewhere":      {"m": `{"distributions":[{"directory_url":"` + inside.URL + `"}]}`},
		"another scheme":             {"m": `{"distributions":[{"directory_url":"file:///etc"}]}`},
		"a password in it":           {"m": `{"distributions":[{"directory_url":"http://me:you@{HOST}/x"}]}`},
		"a document elsewhere":       {"m": `{"distributions":[{"rolie":{"feeds":[{"url":"f.json"}]}}]}`, "f.json": `{"feed":{"entry":[{"content":{"src":"` + inside.URL + `/a.json"}}]}}`},
		"a document with a query":    {"m": `{"distributions":[{"rolie":{"feeds":[{"url":"f.json"}]}}]}`, "f.json": `{"feed":{"entry":[{"content":{"src":"a.json?delete=1"}}]}}`},
		"a host without a scheme":    {"m": `{"distributions":[{"rolie":{"feeds":[{"url":"f.json"}]}}]}`, "f.json": `{"feed":{"entry":[{"content":{"src":"//` + strings.TrimPrefix(inside.URL, "http://") + `/a.json"}}]}}`},
		"a path that climbs":         {"m": `{"distributions":[{"directory_url":"d/"}]}`, "d/changes.csv": `"../../a.json","2026-01-02T00:00:00Z"`},
		"an absolute path":           {"m": `{"distributions":[{"directory_url":"d/"}]}`, "d/changes.csv": `"/a.json","2026-01-02T00:00:00Z"`},
		"an address for a path":      {"m": `{"distributions":[{"directory_url":"d/"}]}`, "d/changes.csv": `"` + inside.URL + `/a.json","2026-01-02T00:00:00Z"`},
		"a redirection":              {"m": "-> " + inside.URL + "/m"},
		"lists that are damaged":     {"m": `{"distributions":[{"directory_url":"d/"}]}`, "d/changes.csv": `"a.json","yesterday"`},
		"a feed that is none":        {"m": `{"distributions":[{"rolie":{"feeds":[{"url":"f.json"}]}}]}`, "f.json": `{}`},
		"metadata that name nothing": {"m": `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			s, site := open(t, files)
			s.files["provider-metadata.json"] = strings.ReplaceAll(files["m"], "{HOST}", strings.TrimPrefix(s.URL, "http://"))
			site.URL = s.URL + "/provider-metadata.json"
			d, err := site.Provider(t.Context(), nil)
			if err == nil {
				_, err = taken(t, d)
			}
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.Unavailable || asked {
				t.Errorf("%v; elsewhere asked: %v", err, asked)
			}
		})
	}
}

func TestALargeDocumentIsCut(t *testing.T) {
	s, site := open(t, map[string]string{"data/changes.csv": `"a.json","2026-01-02T00:00:00Z"`, "data/a.json": strings.Repeat("x", 5000)})
	d, err := site.RedHat(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = d.Each(func(f intake.File) error {
		if b, err := io.ReadAll(f.Body); err != nil || f.Path == "a.json" && len(b) != 1001 {
			return fmt.Errorf("%d bytes of %s, %w", len(b), f.Path, err)
		}
		return nil
	})
	if err != nil || len(s.asked) == 0 {
		t.Error(err)
	}
}
