package estate

import (
	"fmt"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
)

// TestAFileStateIsKeptWhenItDiffers: the same state again is no news, another one is; the newest fifty are kept.
func TestAFileStateIsKeptWhenItDiffers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		h, _ := w.enrol("web1")
		counter := int64(0)
		scan := func(content string) {
			digest, err := blob.PutBytes(t.Context(), w.Blobs, []byte(content))
			check(t, err)
			counter++
			w.now = w.now.Add(time.Minute)
			c := w.put(counter, "1")
			c.Trees = map[string]string{"/": digest}
			_, need, err := w.CheckIn(t.Context(), h.ID, c)
			check(t, err)
			if len(need) > 0 {
				t.Fatalf("needs %v", need)
			}
		}
		for n := range 2 {
			scan(fmt.Sprint("state ", n))
			scan(fmt.Sprint("state ", n))
		}
		states, err := w.FileStates(t.Context(), h.ID)
		check(t, err)
		if len(states) != 2 || !states[0].FirstAt.Equal(w.now.Add(-time.Minute)) || !states[1].FirstAt.Equal(w.now.Add(-3*time.Minute)) || states[0].Tree != "/" {
			t.Errorf("states %+v", states)
		}
		for n := range MostFileStates + 3 {
			scan(fmt.Sprint("other ", n))
		}
		states, err = w.FileStates(t.Context(), h.ID)
		check(t, err)
		if len(states) != MostFileStates || !states[0].FirstAt.Equal(w.now) {
			t.Errorf("%d states, the newest of %v", len(states), states[0].FirstAt)
		}
	})
}
