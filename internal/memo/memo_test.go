package memo

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

func TestGetWorksOnceWithinTheBound(t *testing.T) {
	worked := map[string]int{}
	m := Memo[string]{Most: 10}
	get := func(key string, size int, err error) {
		t.Helper()
		v, got := m.Get(key, func() (string, int, error) { worked[key]++; return "of " + key, size, err })
		if v != "of "+key || !errors.Is(got, err) {
			t.Errorf("%s: %q, %v", key, v, got)
		}
	}
	failed := errors.New("failed")
	for range 3 {
		get("small", 4, nil)
		get("other", 4, nil)
		get("broken", 1, failed)
		get("too large", 11, nil)
	}
	if want := map[string]int{"small": 1, "other": 1, "broken": 3, "too large": 3}; fmt.Sprint(worked) != fmt.Sprint(want) {
		t.Errorf("worked %v, want %v", worked, want)
	}
	get("whole", 10, nil)
	get("whole", 10, nil)
	if m.sum != 10 || len(m.held) != 1 || worked["whole"] != 1 {
		t.Errorf("%d bytes in %d values", m.sum, len(m.held))
	}
}

func TestGetAtOnce(t *testing.T) {
	m := Memo[int]{Most: 50}
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			if v, err := m.Get(fmt.Sprint(i%70), func() (int, int, error) { return i % 70, 1, nil }); v != i%70 || err != nil {
				t.Errorf("%d, %v", v, err)
			}
		})
	}
	all.Wait()
	if m.sum != len(m.held) || m.sum > 50 {
		t.Errorf("%d bytes in %d values", m.sum, len(m.held))
	}
}
