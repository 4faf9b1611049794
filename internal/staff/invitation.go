package staff

import (
	"context"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// invitationLife is how long an invitation is good.
const invitationLife = 24 * time.Hour

// Invite gives the secret of an invitation: good once, for a day, while there is no trust root. It lets someone hand in
// their part of the first one. By the bootstrap link it is the person's only one: what let them in before is over. Who was
// invited may make more for themselves, for the command line.
func (s *Staff) Invite(ctx context.Context, by Session, person string) (secret string, expires time.Time, err error) {
	expires = s.Now().Add(invitationLife).UTC().Truncate(time.Microsecond)
	secret, hash := bearer(invitePrefix)
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := s.NoRoot(ctx, tx); err != nil {
			return err
		}
		if by.Way == ByLink {
			if err := uninvite(ctx, tx, person); err != nil {
				return err
			}
		} else if by.Way != ByInvitation || by.Person.ID != person {
			return fault.New(fault.Denied, "only the bootstrap link invites others")
		}
		if err := saveInvitation(ctx, tx, hash, person, expires); err != nil {
			return err
		}
		return s.act(ctx, tx, "invitation.made", "person/"+person, whoOf(by), struct {
			ExpiresAt time.Time `json:"expires_at"`
		}{expires})
	})
	if err != nil {
		return "", expires, fmt.Errorf("invite %s: %w", person, err)
	}
	return secret, expires, nil
}

// whoOf names the author of an act before there is a trust root. Of who came by the link nothing is known.
func whoOf(by Session) string {
	if by.Way == ByLink {
		return "server"
	}
	return "person/" + by.Person.ID
}

// UseInvitation turns the secret of an invitation, once, into a session that prepares the first trust root and ends with it.
func (s *Staff) UseInvitation(ctx context.Context, secret, from string) (token string, session Session, err error) {
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := s.NoRoot(ctx, tx); err != nil {
			return err
		}
		person, err := useInvitation(ctx, tx, envelope.Digest([]byte(secret)), s.Now())
		if err != nil {
			return err
		}
		if person == "" {
			return fault.New(fault.Unauthenticated, "the invitation was used before or is over: ask for another")
		}
		made, kept := s.newSession(person, ByInvitation, "", from)
		token, session = made, kept.open(trustroot.Person{ID: person})
		if err := saveSession(ctx, tx, kept); err != nil {
			return err
		}
		return s.act(ctx, tx, "invitation.used", "person/"+person, "person/"+person, struct {
			From string `json:"from"`
		}{from})
	})
	if err != nil {
		s.slow(ctx, from, "", err)
		return "", Session{}, s.refuse(ctx, "login.refused", "", from, fmt.Errorf("use invitation: %w", err))
	}
	return token, session, nil
}

// Uninvite ends what let someone in before there is a trust root, and the passkeys they registered.
func (s *Staff) Uninvite(ctx context.Context, tx *db.Tx, person string) error {
	if err := uninvite(ctx, tx, person); err != nil {
		return err
	}
	return deleteOf(ctx, tx, person)
}
