package server

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/build"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// lines opens the people's door as it is, with its TLS and its limits, and gives its address.
func (w *world) lines(change func(*http.Server)) string {
	w.t.Helper()
	doors, err := w.server.doors()
	if err != nil {
		w.t.Fatal(err)
	}
	door := doors[0]
	if change != nil {
		change(door)
	}
	l, err := new(net.ListenConfig).Listen(w.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	go serve(door, l)
	w.t.Cleanup(func() { door.Close() })
	return l.Addr().String()
}

// line is a connection on which somebody writes what they like.
func (w *world) line(address string) net.Conn {
	w.t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}) // whose door it is does not matter here
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// say writes bytes and gives the status of each answer until the door hangs up, or until it has given as many as wanted and
// says no more.
func say(t *testing.T, c net.Conn, raw string, want int) (all []int) {
	t.Helper()
	go io.WriteString(c, raw) // beside the reading: the door may answer and hang up before it has read all, and then writing fails
	in := bufio.NewReader(c)
	for len(all) <= want {
		patience := 10 * time.Second
		if len(all) == want {
			patience = 100 * time.Millisecond // one too many would be there by now
		}
		c.SetReadDeadline(time.Now().Add(patience))
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			return all
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		all = append(all, answer.StatusCode)
	}
	return all
}

// TestARequestHasOneEnd: what a proxy and a server could take for different requests is refused, or is the last of its
// connection, so that nothing of it becomes a request of its own. The second one in these would answer 303.
func TestARequestHasOneEnd(t *testing.T) {
	const (
		host   = "Host: 127.0.0.1\r\n"
		second = "GET /hosts HTTP/1.1\r\n" + host + "\r\n"
		post   = "POST /theme HTTP/1.1\r\n" + host + "Content-Type: application/x-www-form-urlencoded\r\n"
	)
	w := open(t, "")
	address := w.lines(nil)
	for name, c := range map[string]struct {
		raw  string
		want []int
	}{
		"two requests in a row":               {second + second, []int{303, 303}},
		"a length and chunks":                 {post + "Content-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, []int{303}},
		"chunks, then a length":               {post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + second, []int{303}},
		"two lengths":                         {post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nto=/ax" + second, []int{400}},
		"two lengths in one":                  {post + "Content-Length: 5, 6\r\n\r\nto=/ax" + second, []int{400}},
		"a length with a sign":                {post + "Content-Length: +5\r\n\r\nto=/a" + second, []int{400}},
		"a negative length":                   {post + "Content-Length: -1\r\n\r\n" + second, []int{400}},
		"a length in hexadecimal":             {post + "Content-Length: 0x5\r\n\r\nto=/a" + second, []int{400}},
		"an encoding nobody knows":            {post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + second, []int{501}},
		"chunks, not last":                    {post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + second, []int{501}},
		"two encodings":                       {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + second, []int{501}},
		"a space before the colon":            {post + "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\nto=/a" + second, []int{400}},
		"a tab before the colon":              {post + "Content-Length\t: 5\r\n\r\nto=/a" + second, []int{400}},
		"an encoding on a folded line":        {post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + second, []int{303}},
		"a field folded into the first line":  {"GET /hosts HTTP/1.1\r\n " + host + "\r\n" + second, []int{400}},
		"a chunk size that overflows":         {post + "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nto=/a\r\n0\r\n\r\n" + second, []int{422}},
		"a chunk longer than it says":         {post + "Transfer-Encoding: chunked\r\n\r\n2\r\nto=/a\r\n0\r\n\r\n" + second, []int{422}},
		"a chunk with a comment without end":  {post + "Transfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("x", 20_000) + "\r\nto=/a\r\n0\r\n\r\n" + second, []int{422}},
		"an old protocol with chunks":         {strings.Replace(post, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, []int{303}},
		"a body where none is wanted":         {"GET /hosts HTTP/1.1\r\n" + host + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(second)) + second, []int{303}},
		"two hosts":                           {"GET /hosts HTTP/1.1\r\n" + host + "Host: evil.example.org\r\n\r\n" + second, []int{400}},
		"no host":                             {"GET /hosts HTTP/1.1\r\n\r\n" + second, []int{400}},
		"a host with a path in it":            {"GET /hosts HTTP/1.1\r\nHost: 127.0.0.1/x\r\n\r\n" + second, []int{400}},
		"a header with a NUL":                 {"GET /hosts HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n" + second, []int{400}},
		"a header with a bare CR":             {"GET /hosts HTTP/1.1\r\n" + host + "X: a\rTransfer-Encoding: chunked\r\n\r\n" + second, []int{400}},
		"a header without a name":             {"GET /hosts HTTP/1.1\r\n" + host + ": x\r\n\r\n" + second, []int{400}},
		"more headers than anybody sends":     {"GET /hosts HTTP/1.1\r\n" + host + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 100) + "\r\n" + second, []int{431}},
		"a first line without end":            {"GET /" + strings.Repeat("x", 100_000) + " HTTP/1.1\r\n" + host + "\r\n" + second, []int{431}},
		"another protocol":                    {"GET /hosts HTTP/3.1\r\n" + host + "\r\n" + second, []int{505}},
		"the beginning of HTTP/2":             {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + second, []int{400}},
		"a line through us to somewhere else": {"CONNECT evil.example.org:443 HTTP/1.1\r\n" + host + "\r\n", []int{404}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := say(t, w.line(address), c.raw, len(c.want)); !slices.Equal(got, c.want) {
				t.Errorf("answers %v, want %v", got, c.want)
			}
		})
	}
}

// TestOneRequestsSessionIsNotTheNexts on the same connection.
func TestOneRequestsSessionIsNotTheNexts(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("alice")
	c := w.line(w.lines(nil))
	const request = "GET /hosts HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n"
	got := say(t, c, fmt.Sprintf(request, "Cookie: __Host-patchwarrant="+token+"\r\n")+fmt.Sprintf(request, ""), 2)
	if want := []int{http.StatusOK, http.StatusSeeOther}; !slices.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
}

// TestSlowStrangersDoNotKeepPeopleOut: hundreds who say nothing, or a byte now and then, hold nothing that others need, and
// are let go.
func TestSlowStrangersDoNotKeepPeopleOut(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("alice")
	address := w.lines(func(door *http.Server) {
		if door.ReadHeaderTimeout <= 0 || door.ReadHeaderTimeout > 10*time.Second || door.IdleTimeout <= 0 || door.IdleTimeout > 2*time.Minute {
			t.Errorf("the door waits %s for a request's head, %s for the next request", door.ReadHeaderTimeout, door.IdleTimeout)
		}
		door.ReadHeaderTimeout = 3 * time.Second // the test need not wait as long as a stranger may
	})
	const each = 100
	var slow []net.Conn
	for range each {
		silent, err := net.Dial("tcp", address) // not even TLS
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { silent.Close() })
		half, body := w.line(address), w.line(address)
		io.WriteString(half, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
		io.WriteString(body, "POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nperson=")
		slow = append(slow, silent, half)
	}
	request := "GET /hosts HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: __Host-patchwarrant=" + token + "\r\n\r\n"
	if got := say(t, w.line(address), request, 1); !slices.Equal(got, []int{http.StatusOK}) {
		t.Errorf("a person among %d slow strangers gets %v", 3*each, got)
	}
	for _, c := range slow {
		c.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("a stranger still holds a line")
		}
	}
}

// TestALongAnswerIsNotCutShort: the haste is about a request's body, not about what is done with it.
func TestALongAnswerIsNotCutShort(t *testing.T) {
	s := httptest.NewServer(hurry(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			t.Error("who asked is taken for gone")
		case <-time.After(300 * time.Millisecond):
		}
	}), 100*time.Millisecond, known))
	t.Cleanup(s.Close)
	answer, err := http.Post(s.URL, "text/plain", strings.NewReader("all of it"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

// endless is a body that begins somehow and then repeats something for ever, and how much of it was read.
type endless struct {
	begin, repeat string
	read          int64
}

func (e *endless) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if e.begin == "" {
			e.begin = strings.Repeat(e.repeat, 1+len(b)/len(e.repeat))
		}
		copied := copy(b[n:], e.begin)
		e.begin = e.begin[copied:]
		n += copied
	}
	e.read += int64(n)
	return n, nil
}

// Forms that never end: in a file, and in fields before one.
const (
	endlessForm = "multipart/form-data; boundary=a"
	fileBegins  = "--a\r\nContent-Disposition: form-data; name=\"content\"; filename=\"x.csv\"\r\n\r\n"
	field       = "--a\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nx\r\n"
)

// TestNoBodyIsReadWithoutEnd: whatever the route, of whoever has leave. An import has the bound of its source.
func TestNoBodyIsReadWithoutEnd(t *testing.T) {
	s := tell(t)
	const most, imported = 5 << 20, 65 << 20
	things := s.things("ses_x", "tok_x")
	tried := 0
	for _, r := range s.routes() {
		if r.method == http.MethodGet {
			continue
		}
		path := r.path
		if pair, ok := things[path]; ok {
			path = pair[1] // nothing is to be changed
		}
		bound := int64(most)
		if strings.HasSuffix(path, "/content") {
			path, bound = strings.Replace(path, "none", "kev", 1), imported
		}
		if r.path == "/hosts/imports" || r.path == v1.Prefix+"/record-imports" {
			bound = record.MaxImport + 1<<20
		}
		if strings.HasSuffix(path, "/sbom") || strings.HasSuffix(path, "/status") {
			path, bound = path+"?days=1&release=bookworm", build.MaxFile+1<<20
		}
		token := ""
		for _, p := range s.Root.People {
			if staff.Can(p, r.action) && s.tokens[p.ID] != "" {
				token = s.tokens[p.ID]
			}
		}
		for i, body := range []*endless{{repeat: "a"}, {repeat: "a"}, {repeat: "a"}, {repeat: field}, {begin: fileBegins, repeat: "a"}} {
			kind := []string{"application/json", "application/x-www-form-urlencoded", endlessForm, endlessForm, endlessForm}[i]
			request := httptest.NewRequestWithContext(t.Context(), r.method, path, body)
			request.Header.Set("Content-Type", kind)
			request.Header.Set("Content-Length", strconv.Itoa(1<<40))
			request.Header.Set("Authorization", "Bearer "+token)
			request.AddCookie(&http.Cookie{Name: "__Host-patchwarrant", Value: token})
			answer := httptest.NewRecorder()
			s.doors[0].Config.Handler.ServeHTTP(answer, request)
			if body.read > bound {
				t.Errorf("%s %s: %d bytes of a %s body were read", r.method, path, body.read, kind)
			}
			if answer.Code == http.StatusInternalServerError {
				t.Errorf("%s %s: %d %s", r.method, path, answer.Code, answer.Body)
			}
			tried++
		}
	}
	if tried < 300 {
		t.Errorf("only %d requests", tried)
	}
}
