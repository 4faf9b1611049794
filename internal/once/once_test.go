package once

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

var request = Request{Person: "alice", Route: "propose-order", Key: "k 1", Digest: "d1"}

// each runs do with a room on each engine; ask counts how often something was made.
func each(t *testing.T, do func(t *testing.T, o *Once, now *time.Time, ask func(Request, Kept, error) (string, error), made *int)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		made := 0
		o := New(Config{DB: d, Now: func() time.Time { return now }})
		do(t, o, &now, func(r Request, kept Kept, err error) (string, error) {
			b, err := o.Do(t.Context(), r, kept, func() ([]byte, error) {
				made++
				if err != nil {
					return nil, err
				}
				return []byte(`{"made":1}`), nil
			})
			return string(b), err
		}, &made)
	})
}

func TestTheSameRequestIsAnsweredTheSame(t *testing.T) {
	each(t, func(t *testing.T, o *Once, now *time.Time, ask func(Request, Kept, error) (string, error), made *int) {
		for range 3 {
			if b, err := ask(request, Answer, nil); b != `{"made":1}` || err != nil {
				t.Errorf("%q, %v", b, err)
			}
		}
		if *made != 1 {
			t.Errorf("made %d times", *made)
		}
		for i, other := range []Request{{"bob", "propose-order", "k 1", "d1"}, {"alice", "propose-snapshot", "k 1", "d1"}, {"alice", "propose-order", "k 2", "d1"}} {
			if _, err := ask(other, Answer, nil); err != nil || *made != 2+i {
				t.Errorf("%+v: %v, made %d", other, err, *made)
			}
		}
		*now = now.Add(Life - time.Microsecond)
		if _, err := ask(request, Answer, nil); err != nil || *made != 4 {
			t.Errorf("at the end of the day: %v, made %d", err, *made)
		}
		*now = now.Add(time.Microsecond)
		if _, err := ask(request, Answer, nil); err != nil || *made != 5 {
			t.Errorf("after the day: %v, made %d", err, *made)
		}
		*now = now.Add(Life)
		if err := o.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		left := 0
		err := o.DB.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(t.Context(), qCount).Scan(&left) })
		if left != 0 || err != nil {
			t.Errorf("%d keys left, %v", left, err)
		}
	})
}

var qCount = db.Q(`SELECT COUNT(*) FROM once_request`)

func TestAnotherRequestIsAConflict(t *testing.T) {
	each(t, func(t *testing.T, _ *Once, _ *time.Time, ask func(Request, Kept, error) (string, error), made *int) {
		if _, err := ask(request, Answer, nil); err != nil {
			t.Fatal(err)
		}
		other := request
		other.Digest = "d2"
		if b, err := ask(other, Answer, nil); fault.KindOf(err) != fault.Conflict || b != "" || *made != 1 {
			t.Errorf("%q, %v, made %d", b, err, *made)
		}
	})
}

// TestASecretIsNotKept: neither for the caller, who gets a Conflict, nor in the table.
func TestASecretIsNotKept(t *testing.T) {
	each(t, func(t *testing.T, o *Once, _ *time.Time, ask func(Request, Kept, error) (string, error), made *int) {
		if b, err := ask(request, Secret, nil); b == "" || err != nil {
			t.Fatalf("%q, %v", b, err)
		}
		if b, err := ask(request, Secret, nil); fault.KindOf(err) != fault.Conflict || b != "" || *made != 1 {
			t.Errorf("%q, %v, made %d", b, err, *made)
		}
		err := o.DB.Read(t.Context(), func(tx *db.Tx) error {
			e, err := load(t.Context(), tx, request)
			if err == nil && len(e.answer) > 0 {
				t.Errorf("kept %q", e.answer)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestAfterARefusalTheKeyIsFree, but not after trouble of our own, of which nobody knows how far it came.
func TestAfterARefusalTheKeyIsFree(t *testing.T) {
	each(t, func(t *testing.T, _ *Once, _ *time.Time, ask func(Request, Kept, error) (string, error), made *int) {
		for _, kept := range []Kept{Answer, Secret} {
			if _, err := ask(request, kept, fault.New(fault.Invalid, "no")); fault.KindOf(err) != fault.Invalid {
				t.Errorf("refused: %v", err)
			}
		}
		trouble := errors.New("disk full")
		if _, err := ask(request, Answer, trouble); !errors.Is(err, trouble) || *made != 3 {
			t.Errorf("trouble: %v, made %d", err, *made)
		}
		if _, err := ask(request, Answer, nil); fault.KindOf(err) != fault.Conflict || *made != 3 {
			t.Errorf("after trouble: %v, made %d", err, *made)
		}
	})
}

// TestOneOfManyAtOnceIsDone: and the answer is kept though its caller went away.
func TestOneOfManyAtOnceIsDone(t *testing.T) {
	each(t, func(t *testing.T, o *Once, _ *time.Time, ask func(Request, Kept, error) (string, error), made *int) {
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		_, err := o.Do(ctx, request, Answer, func() ([]byte, error) {
			for range 4 {
				all.Go(func() {
					if _, err := ask(request, Answer, nil); fault.KindOf(err) != fault.Conflict {
						t.Errorf("meanwhile: %v", err)
					}
				})
			}
			all.Wait()
			leave()
			return []byte(`{}`), nil
		})
		if err != nil || *made != 0 {
			t.Fatalf("%v, made %d others", err, *made)
		}
		if b, err := ask(request, Answer, nil); b != `{}` || err != nil {
			t.Errorf("again: %q, %v", b, err)
		}
	})
}
