package feed_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake/feed"
)

var feeds = map[string]string{
	"RSS 1.0": `<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>c</title></channel>
<item rdf:about="https://example.org/DSA-1-1"><title>DSA-1-1 openssl</title><link>https://example.org/DSA-1-1</link><description>&lt;p&gt;fixes CVE-2026-0001&lt;/p&gt;</description><dc:date>2026-11-20</dc:date></item></rdf:RDF>`,
	"RSS 2.0": `<rss version="2.0"><channel><title>c</title><item><guid>https://example.org/DSA-1-1</guid><title>DSA-1-1 openssl</title><link>https://example.org/DSA-1-1</link><description><![CDATA[<script>x</script> fixes CVE-2026-0001]]></description><pubDate>Fri, 20 Nov 2026 00:00:00 +0000</pubDate></item></channel></rss>`,
	"Atom":    `<feed xmlns="http://www.w3.org/2005/Atom"><id>f</id><entry><id>https://example.org/DSA-1-1</id><title>DSA-1-1 openssl</title><link rel="self" href="javascript:alert(1)"/><link href="https://example.org/DSA-1-1"/><summary>fixes CVE-2026-0001</summary><updated>2026-11-20T00:00:00Z</updated></entry></feed>`,
}

func TestEachForm(t *testing.T) {
	for name, text := range feeds {
		r, err := feed.Parse(strings.NewReader(text))
		if err != nil || len(r.Bulletins) != 1 {
			t.Fatalf("%s: %v, %d entries", name, err, len(r.Bulletins))
		}
		b := r.Bulletins[0]
		if b.ID != "https://example.org/DSA-1-1" || b.Link != b.ID || b.Title != "DSA-1-1 openssl" || len(b.Names) != 2 || b.Published.IsZero() || strings.Contains(b.Text, "<") {
			t.Errorf("%s: %+v", name, b)
		}
	}
}

func TestBadFeeds(t *testing.T) {
	for name, bad := range map[string]string{"empty": "", "HTML": "<html></html>", "laughs": `<!DOCTYPE r [<!ENTITY a "x">]><rss><item><title>&a;</title></item></rss>`,
		"truncated": feeds["Atom"][:200], "deep": "<rss>" + strings.Repeat("<a>", 100), "none": "<rss></rss>", "encoding": `<?xml version="1.0" encoding="ebcdic"?><rss/>`} {
		if _, err := feed.Parse(strings.NewReader(bad)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := feed.Parse(strings.NewReader(`<rss><item><title>x</title><link>javascript:alert(1)</link></item></rss>`))
	if err != nil || r.Bulletins[0].Link != "" {
		t.Errorf("%v %+v", err, r.Bulletins)
	}
}

func TestRealFeed(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, "announce", "dsa.constructed.rdf"))
	if err != nil {
		t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
	}
	defer f.Close()
	r, err := feed.Parse(f)
	if err != nil || len(r.Bulletins) < 20 || r.Bulletins[0].Link == "" || len(r.Bulletins[0].Names) == 0 {
		t.Fatalf("%v, %d entries", err, len(r.Bulletins))
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range feeds {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := feed.Parse(bytes.NewReader(b)); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("kind %s: %v", fault.KindOf(err), err)
		}
	})
}
