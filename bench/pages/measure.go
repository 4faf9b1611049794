package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/web"
)

// Targets, for every list and dossier.
const (
	maxTime = 150 * time.Millisecond
	maxSize = 150 << 10 // bytes of one page
)

// route is a path of the door with the addresses that stand for it.
type route struct {
	name, query string
	paths       []string
}

var parameter = regexp.MustCompile(`([a-z-]*)/?\{([a-z]+)\}`)

// routes asks the API's own description and the site's routes for everything that can be read, and fills in what was seeded. A route for which
// there is no sample is named, not left out in silence.
func (w *world) routes(ctx context.Context) ([]route, error) {
	answer, err := w.get(ctx, "/openapi.json")
	if err != nil {
		return nil, err
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name string `json:"name"`
			} `json:"parameters"`
			Responses map[string]struct {
				Content map[string]any `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &doc); err != nil {
		return nil, err
	}
	var all []route
	for _, name := range slices.Sorted(maps.Keys(doc.Paths)) {
		get, reads := doc.Paths[name]["get"]
		if !reads {
			continue
		}
		if _, stream := get.Responses["200"].Content["text/event-stream"]; stream {
			continue // it never ends
		}
		r := w.fill(name)
		for _, p := range get.Parameters {
			if p.Name == "limit" { // lists come in pages
				r.query = "?limit=100"
			}
		}
		if q, ok := required[name]; ok {
			r.query = q
		}
		all = append(all, r)
	}
	if answer, err := w.get(ctx, "/"); err != nil && answer.Code == http.StatusNotFound {
		fmt.Println("the server has no pages, lists only")
		return all, nil
	}
	for _, r := range web.Routes() {
		if r.Method == http.MethodGet {
			all = append(all, w.fill(strings.TrimSuffix(r.Path, "{$}")))
		}
	}
	return all, nil
}

// samples of what stands after a noun in a path.
func (w *world) samples(noun string) []string {
	s := w.seeded
	switch noun {
	case "hosts":
		return s.Host
	case "orders", "changes":
		return s.Order
	case "investigations":
		return s.Investigation
	case "reports":
		return []string{s.Report}
	case "manifests":
		return []string{s.Manifest}
	case "facts":
		return []string{s.Fact}
	case "snapshots":
		return s.Snapshot
	case "records":
		return s.Record
	case "groups":
		return s.Group
	case "acts", "ledger":
		return []string{"0", "777", "54321", "99999"}
	case "vulnerabilities":
		return s.Vulnerability[:1]
	case "source": // the parameter after a vulnerability's ID
		return s.Vulnerability[1:]
	}
	return nil
}

// fill makes addresses of a route's path.
func (w *world) fill(name string) route {
	r := route{name: name}
	for try := range 50 {
		complete := true
		path := parameter.ReplaceAllStringFunc(name, func(m string) string {
			parts := parameter.FindStringSubmatch(m)
			noun := cmp.Or(parts[1], parts[2])
			samples := w.samples(noun)
			if len(samples) == 0 {
				complete = false
				return m
			}
			sample := samples[try%len(samples)]
			if parts[1] == "" {
				return "/" + sample
			}
			return parts[1] + "/" + sample
		})
		if complete && !slices.Contains(r.paths, path) {
			r.paths = append(r.paths, path)
		}
	}
	return r
}

// warm asks for every route once, as the first visitor after a start does, and names those that answer with neither a page nor a list.
func (w *world) warm(ctx context.Context, routes []route) (open []route, err error) {
	for _, r := range routes {
		if len(r.paths) > 0 {
			begin := time.Now()
			answer, err := w.get(ctx, r.paths[0]+r.query)
			switch {
			case err == nil && strings.HasPrefix(answer.Header().Get("Content-Disposition"), "attachment") && answer.Body.Len() > 1<<20:
				fmt.Printf("%s is a download of %.0f MB, %.1f s alone, not measured\n", r.name, float64(answer.Body.Len())/1e6, time.Since(begin).Seconds())
				continue
			case err == nil || answer.Code == http.StatusNotFound:
			case answer.Code < http.StatusInternalServerError: // leads elsewhere, is not for this person, or wants to be told more
				fmt.Printf("%s answers %d, not measured\n", r.name, answer.Code)
				continue
			default:
				return nil, err
			}
		}
		open = append(open, r)
	}
	return open, nil
}

// required are the query parameters without which a route answers nothing.
var required = map[string]string{"/api/v1/ledger/consistency": "?from=100&to=2000"}

// sampled is what one route took.
type sampled struct {
	times []time.Duration
	size  int // the largest
	body  []byte
	err   error
}

// measure has clients read all routes in a random order of their own, until the time is up and each has read all once.
func (w *world) measure(ctx context.Context, routes []route, o options) error {
	results := make([]sampled, len(routes))
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var mu sync.Mutex
	var clients sync.WaitGroup
	begin := time.Now()
	for c := range o.clients {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 4))
			for time.Since(begin) < o.measure && ctx.Err() == nil {
				for _, i := range random.Perm(len(routes)) {
					if len(routes[i].paths) == 0 {
						continue
					}
					path := routes[i].paths[random.IntN(len(routes[i].paths))] + routes[i].query
					asked := time.Now()
					answer, err := w.get(ctx, path)
					took := time.Since(asked)
					mu.Lock()
					results[i].add(took, answer.Body.Bytes(), answer.Code, err)
					mu.Unlock()
					if time.Since(begin) > o.measure {
						break
					}
				}
			}
		})
	}
	clients.Wait()
	return report(routes, results, time.Since(begin))
}

func (s *sampled) add(took time.Duration, body []byte, code int, err error) {
	if err != nil && code != http.StatusNotFound { // what is not there is an answer too
		s.err = err
		return
	}
	s.times = append(s.times, took)
	if len(body) > s.size {
		s.size, s.body = len(body), body
	}
}

// at gives a quantile of the sorted times.
func (s *sampled) at(q float64) time.Duration {
	return s.times[min(len(s.times)-1, int(q*float64(len(s.times))))]
}

func report(routes []route, results []sampled, took time.Duration) error {
	fmt.Printf("\n%-44s %6s %9s %9s %9s %9s %9s\n", "GET", "n", "p50 ms", "p95 ms", "max ms", "KB", "KB gzip")
	requests := 0
	var slow, large, failed []string
	for i, r := range routes {
		s := results[i]
		if s.err != nil {
			failed = append(failed, s.err.Error())
		}
		if len(s.times) == 0 {
			fmt.Printf("%-44s no sample, not measured\n", r.name)
			continue
		}
		slices.Sort(s.times)
		requests += len(s.times)
		fmt.Printf("%-44s %6d %9.1f %9.1f %9.1f %9.1f %9.1f\n", strings.TrimPrefix(r.name, "/api/v1"), len(s.times), ms(s.at(0.5)), ms(s.at(0.95)), ms(s.at(1)),
			kb(s.size), kb(packed(s.body)))
		if s.at(0.95) > maxTime {
			slow = append(slow, r.name)
		}
		if s.size > maxSize {
			large = append(large, r.name)
		}
	}
	fmt.Printf("\n%d requests in %.1f s: %.0f a second\n", requests, took.Seconds(), float64(requests)/took.Seconds())
	worst, fattest := 0.0, 0.0
	for _, s := range results {
		if len(s.times) > 0 {
			worst, fattest = max(worst, float64(s.at(0.95))/float64(maxTime)), max(fattest, float64(s.size)/maxSize)
		}
	}
	fmt.Printf("p95 over %s: %d routes %v\n", maxTime, len(slow), slow)
	fmt.Printf("over %d KB: %d routes %v\n", maxSize>>10, len(large), large)
	fmt.Printf("ratios: worst p95 / target %.2f; largest answer / target %.2f\n", worst, fattest)
	if len(failed) > 0 {
		return fmt.Errorf("%d routes failed, first: %s", len(failed), failed[0])
	}
	return nil
}

func packed(b []byte) int {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b) // to memory: cannot fail
	z.Close()
	return out.Len()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

func kb(n int) float64 { return float64(n) / 1024 }
