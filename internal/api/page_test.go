package api

import (
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// TestPagesOfAList: page by page comes what the list has, once; where the place to go on from has left the list, a refusal and not the
// beginning, with which a program would go round and round.
func TestPagesOfAList(t *testing.T) {
	name := func(s string) string { return s }
	all := strings.Split("abcdefg", "")
	var got []string
	for p := (Page{Limit: 3}); ; p.After = got[len(got)-1] {
		page, err := pageOf(all, p, name)
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, page...); len(page) < p.Limit {
			break
		}
	}
	if strings.Join(got, "") != "abcdefg" {
		t.Errorf("the pages are %q", got)
	}
	if page, err := pageOf(all, Page{}, name); err != nil || len(page) != len(all) {
		t.Errorf("without a limit: %q, %v", page, err)
	}
	for _, gone := range []string{"z", "../a", " "} {
		if page, err := pageOf(all, Page{After: gone, Limit: 3}, name); fault.KindOf(err) != fault.Conflict || page != nil {
			t.Errorf("after %q: %q, %v", gone, page, err)
		}
	}
}
