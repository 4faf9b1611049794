package web

import (
	"context"
	"net/http"

	duties "github.com/patchwarrant/patchwarrant/internal/duty"
)

type dutiesBody struct {
	List   cut[duties.Duty]
	Things int
}

func (s *site) ownerless(v *visit) error {
	all, err := s.Duties.List(v.r.Context())
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "duties", "Duties without an owner", dutiesBody{paged(v, all, 200), things(all)})
}

func things(all []duties.Duty) (n int) {
	for _, d := range all {
		n += d.Count
	}
	return n
}

func (s *site) takeDuty(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	if _, err := s.Duties.Take(v.r.Context(), v.me(), form.Get("subject")); err != nil {
		return err
	}
	return v.see("/people/duties", "taken")
}

// orphaned is the alarm of the duties without an owner.
func (s *site) orphaned(ctx context.Context) ([]alarm, error) {
	all, err := s.Duties.List(ctx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return []alarm{{What: count(len(all)) + " duties have no owner", Link: "/people/duties", Why: count(things(all)) + " hosts, sources, roles and others that nobody answers for"}}, nil
}
