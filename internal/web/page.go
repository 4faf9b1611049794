package web

import (
	"embed"
	"fmt"
	"html/template"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

//go:embed templates
var templateFiles embed.FS

type pages map[string]*template.Template

// parse reads each page's template together with the frame and the parts that pages share.
func parse() pages {
	shared := template.Must(template.New("").Funcs(words).ParseFS(templateFiles, "templates/shared/*.html"))
	names, err := templateFiles.ReadDir("templates")
	if err != nil {
		panic(err) // embedded: cannot fail
	}
	all := pages{}
	for _, n := range names {
		if name, ok := strings.CutSuffix(n.Name(), ".html"); ok {
			all[name] = template.Must(template.Must(shared.Clone()).ParseFS(templateFiles, path.Join("templates", n.Name())))
		}
	}
	return all
}

// page is what a template sees.
type page struct {
	v     *visit
	Title string
	Body  any
}

func (v *visit) page(title string, body any) *page { return &page{v, title, body} }

// sections are the site's rooms in the order of the work, with the key that leads to each after g.
var sections = []struct{ Path, Name, Key string }{
	{"/", "Today", "t"},
	{"/clocks", "Clocks", "k"},
	{"/vulnerabilities", "Vulnerabilities", "v"},
	{"/hosts", "Hosts", "h"},
	{"/repository", "Repository", "r"},
	{"/changes", "Changes", "c"},
	{"/investigations", "Investigations", "i"},
	{"/suspicions", "Suspicions", "u"},
	{"/reports", "Reports", "e"},
	{"/ledger", "Ledger", "l"},
	{"/scans", "Scans", "n"},
	{"/sources", "Sources", "s"},
	{"/people", "People", "p"},
}

func (p *page) Sections() any { return sections }

// In reports whether the page is in a section.
func (p *page) In(section string) bool {
	at := p.v.r.URL.Path
	return at == section || section != "/" && strings.HasPrefix(at, section+"/")
}

func (p *page) Path() string { return p.v.r.URL.RequestURI() }

// Theme is what the visitor chose: light, dark, or empty for what the system has.
func (p *page) Theme() string { return p.v.chosenTheme() }

// SignedIn reports whether the visitor is someone of the trust root: who was invited to the first one is not yet.
func (p *page) SignedIn() bool { return p.v.me() != "" && p.v.session.Way != staff.ByInvitation }
func (p *page) Me() trustroot.Person {
	return p.v.session.Person
}
func (p *page) SessionEnds() moment { return p.At(p.v.session.ExpiresAt) }

// May reports whether the visitor's roles allow an action.
func (p *page) May(action string) bool { return p.v.session.Can(staff.Action(action)) }

// Totals gives the view of the fleet, for its two numbers on every page.
func (p *page) Totals() (triage.View, error) { return p.v.site.Triage.Vulnerabilities(p.v.r.Context()) }

// Said is the notice of what was just done.
func (p *page) Said() string { return notices[p.v.r.URL.Query().Get("said")] }

var notices = map[string]string{
	"decided":          "Your decision is in force and in the ledger.",
	"waits":            "Signed. The decision waits for a second person: this page says who may agree.",
	"refused":          "Refused. The decision that waited has ended.",
	"adopted":          "With your signature the quorum is there: these limits are in force, and the clocks follow.",
	"assessed":         "Your assessment holds, and is in the ledger.",
	"approved":         "Your signature was counted.",
	"warranted":        "With your signature the quorum is there: the order is a warrant, and its rollout has begun.",
	"proposed":         "Proposed. Others can sign it now.",
	"ended":            "Done. The order has ended.",
	"halted":           "Halted. The order is offered to no more hosts.",
	"resumed":          "The rollout goes on.",
	"refreshed":        "The upstream was checked and accepted.",
	"signed":           "Your signature was counted.",
	"promoted":         "The channel points at the snapshot.",
	"resolved":         "Recorded.",
	"taken":            "It is yours.",
	"suspected":        "Reported. The CIRT answers within 24 hours, on this page.",
	"owned":            "It has an owner.",
	"answered":         "Answered. The reporter sees it here.",
	"reviewed":         "Reviewed, and off the queue.",
	"imported":         "Received and in force.",
	"over":             "Ended.",
	"kept":             "Kept.",
	"added":            "Added. The server looks at it now.",
	"set-up":           "The set-up is done. These are the first host's findings.",
	"registered":       "Registered. It opens nothing until a trust root holds it: ask for the next version.",
	"reviewed-account": "The review is in the ledger. The next is due in three months.",
	"notice":           "The account is off. The trust root must drop the person within 24 hours.",
	"notice-withdrawn": "The notice is withdrawn.",
	"retired":          "With your signature the quorum is there: the host is out of service, and counts nowhere.",
	"recorded":         "Recorded, and in the ledger.",
	"report":           "The report is in, and stands beside our own verdicts.",
	"same-report":      "These are the bytes of this report, which was imported before.",
	"unchanged":        "Received: the same bytes as before. The source's clock was set.",
}

// moment is a time with its distance from now.
type moment struct {
	time.Time
	Distance string // "in 3 h", "2 d ago"
	Past     bool
	Soon     bool // within 24 h, not past
}

// At relates a time to now.
func (p *page) At(t time.Time) moment {
	d := t.Sub(p.v.now)
	return moment{t.UTC(), distance(d), d <= 0, d > 0 && d < 24*time.Hour}
}

// period is a time from and to, which may be of one day.
type period struct {
	From, To moment
	SameDay  bool
}

// Period makes a period for the page.
func (p *page) Period(from, to time.Time) period {
	return period{p.At(from), p.At(to), from.UTC().Format(time.DateOnly) == to.UTC().Format(time.DateOnly)}
}

func distance(d time.Duration) string {
	n := max(d, -d)
	var text string
	switch {
	case n < time.Minute:
		return "now"
	case n < 2*time.Hour:
		text = fmt.Sprintf("%d min", n/time.Minute)
	case n < 48*time.Hour:
		text = fmt.Sprintf("%d h", n/time.Hour)
	default:
		text = fmt.Sprintf("%d d", n/(24*time.Hour))
	}
	if d < 0 {
		return text + " ago"
	}
	return "in " + text
}

// Now is the time of the visit.
func (p *page) Now() time.Time { return p.v.now }

// Person gives a person's name by ID; who left the trust root is still shown by ID.
func (p *page) Person(id string) string {
	root, err := p.v.root()
	if err != nil {
		return id
	}
	if known, ok := root.Person(id); ok {
		return known.Name
	}
	return id
}

// Who names the author of an act: a person, a host or the server.
func (p *page) Who(who string) string {
	kind, id, _ := strings.Cut(who, "/")
	switch kind {
	case "person":
		return p.Person(id)
	case "host":
		return p.Host(id)
	default:
		return who
	}
}

// Host gives a host's name by ID; one that is not known is still shown by ID.
func (p *page) Host(id string) string {
	if _, asked := p.v.names[id]; !asked {
		p.v.know(id)
	}
	return p.v.names[id]
}

// With gives the page's address with query parameters replaced; an empty value removes one, and any change but to the
// page's number leads to the first page.
func (p *page) With(pairs ...string) string {
	q := p.v.r.URL.Query()
	q.Del("said")
	if len(pairs) > 0 && pairs[0] != "page" {
		for _, place := range []string{"page", "after", "before"} {
			q.Del(place)
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	if len(q) == 0 {
		return p.v.r.URL.Path
	}
	return p.v.r.URL.Path + "?" + q.Encode()
}

// Part is the page with another body, for a block that is also served alone.
func (p *page) Part(body any) *page { return p.v.page(p.Title, body) }

// Verdict gives the count of a verdict by its name.
func (p *page) Verdict(counts map[explain.Verdict]int, name string) int {
	return counts[explain.Verdict(name)]
}

// Wave is a wave's number for people, who count from 1.
func (p *page) Wave(n int) int { return n + 1 }

// Query gives a query parameter.
func (p *page) Query(name string) string { return p.v.r.URL.Query().Get(name) }

// cut is one page of a list.
type cut[T any] struct {
	Rows              []T
	All, First, Last  int // numbers from 1
	Page, Pages       int
	Previous, Further string // numbers of pages, empty where there is none
}

// paged takes the page that the request asks for.
func paged[T any](v *visit, rows []T, size int) cut[T] {
	c := span[T](v, len(rows), size)
	c.Rows = rows[c.First-1 : c.Last]
	return c
}

// span says which of so many rows the request asks for.
func span[T any](v *visit, all, size int) cut[T] {
	c := cut[T]{All: all, Pages: max(1, (all+size-1)/size)}
	n, err := strconv.Atoi(v.r.URL.Query().Get("page"))
	if err != nil {
		n = 1
	}
	c.Page = min(max(n, 1), c.Pages)
	c.First, c.Last = (c.Page-1)*size+1, min(c.Page*size, all)
	if c.Page > 1 {
		c.Previous = strconv.Itoa(c.Page - 1)
	}
	if c.Page < c.Pages {
		c.Further = strconv.Itoa(c.Page + 1)
	}
	return c
}

// words are the functions of templates that need no page.
var words = template.FuncMap{
	"asset":   asset,
	"short":   func(digest string) string { return digest[:min(12, len(digest))] },
	"count":   count,
	"count64": func(n int64) string { return count(int(n)) },
	"plural": func(n int, one, many string) string {
		if n == 1 {
			return count(n) + " " + one
		}
		return count(n) + " " + many
	},
	"few":   few,
	"facts": factsOf,
	"list":  func(names ...string) []string { return names },
	"size": func(n int64) string {
		if n < 10_000 {
			return count(int(n)) + " B"
		}
		if n < 10_000_000 {
			return count(int(n/1000)) + " kB"
		}
		return count(int(n/1_000_000)) + " MB"
	},
	"percent": func(f float64) string {
		if f == 0 {
			return "–"
		}
		return strconv.FormatFloat(f*100, 'f', 1, 64) + "\u00a0%"
	},
	"filtered": func(list, query string) string { return "/" + list + "?" + query }, // as one value: parts of an address are escaped
	"join":     strings.Join,
	"escape":   url.PathEscape,
	"vulnerability": func(name string) string {
		id, source, _ := strings.Cut(name, "/")
		return "/vulnerabilities/" + url.PathEscape(id) + "/" + url.PathEscape(source)
	},
	"pack": func(pairs ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i+1 < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	},
	"span":  policy.Span,
	"tone":  tone,
	"say":   say,
	"title": func(s string) string { return strings.ToUpper(s[:1]) + s[1:] },
	"mode":  func(m uint32) string { return fmt.Sprintf("%04o", m) },
}

// count groups a number's digits.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// say writes a state for reading; terms such as back-out keep their hyphen.
func say(state any) string {
	text := fmt.Sprint(state)
	if slices.Contains([]string{"under-investigation", "fixed-after-reboot", "not-affected", "only-theirs", "only-ours", "unknown-host",
		"same-word", "newer-set", "other-kernel", "no-such-code", "other-fix", "old-data", "not-installed", "feed-silent", "vendor-unsure", "their-doubt",
		"claimed-fixed", "claimed-free", "no-fix-yet", "scan-without", "their-silence", "no-inventory", "accept-risk", "not-vulnerable-here", "limited-threat", "self-replicating", "fix-released", "in-force"}, text) {
		return strings.ReplaceAll(text, "-", " ")
	}
	return text
}

// tones colour the words for states; what is in none stays neutral.
var tones = map[string][]string{
	"bad": {"affected", "failed", "refused", "lost", "missed", "interrupted", "unexplained", "missing", "halted", "silent", "exploited",
		"alarms", "contradiction", "overdue", "incident", "cloned", "under-investigation", "open", "rejected"},
	"warn": {"undetermined", "only-theirs", "unknown-host", "proposed", "begun", "offered", "fixed-after-reboot", "defer", "deferred", "accept-risk", "undecided", "observe-only", "reboot", "waiting for a second person",
		"expired", "not signed", "unjudged"},
	"good":  {"agree", "configure", "in-force", "done", "closed", "accept", "accepted", "as shipped", "signed", "not-affected", "reports", "legitimate", "clean", "current"},
	"quiet": {"derived", "as staged", "reject", "ended", "withdrawn", "retired", "in force", "waiting"},
	"live":  {"warranted", "running"},
}

func tone(state any) string {
	for t, states := range tones {
		if slices.Contains(states, fmt.Sprint(state)) {
			return t
		}
	}
	return "quiet"
}

// signing is what a browser needs to sign a payload with one of the visitor's passkeys, and a person to sign it elsewhere.
type signing struct {
	Digest      string // SHA-256 of the payload, which the command line prints too
	Challenge   string // base64url, SHA-256 of the PAE
	RPID        string
	Credentials string // of the visitor, base64url, between spaces; empty: no passkey
}

func (v *visit) signing(payloadType string, payload []byte) signing {
	s := signing{Digest: envelope.Digest(payload), Challenge: challengeOf(payloadType, payload)}
	var all []string
	for _, k := range v.session.Person.Keys {
		if credential, ok := strings.CutPrefix(k.ID, passkeyPrefix); ok {
			all = append(all, credential)
			s.RPID = k.RPID
		}
	}
	s.Credentials = strings.Join(all, " ")
	return s
}
