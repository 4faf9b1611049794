package staff

import (
	"context"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// linkLife is how long a bootstrap link is good, and then the session it opened.
const linkLife = time.Hour

// MakeLink gives the secret of a fresh bootstrap link, good once, while there is no trust root; it is empty where there is
// one. Links made before are dead.
func (s *Staff) MakeLink(ctx context.Context) (secret string, expires time.Time, err error) {
	expires = s.Now().Add(linkLife).UTC()
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		version, _, err := latestRoot(ctx, tx)
		if err != nil || version > 0 {
			return err
		}
		made, hash := bearer(linkPrefix)
		if err := saveLink(ctx, tx, hash, expires); err != nil {
			return err
		}
		secret = made
		return s.act(ctx, tx, "bootstrap-link.made", "trust-root/1", "server", struct {
			ExpiresAt time.Time `json:"expires_at"`
		}{expires.Truncate(time.Microsecond)})
	})
	if err != nil {
		return "", expires, fmt.Errorf("make bootstrap link: %w", err)
	}
	return secret, expires, nil
}

// UseLink turns the secret of a bootstrap link, once, into a session that can do nothing but install the first trust root.
// It ends with that, or after an hour.
func (s *Staff) UseLink(ctx context.Context, secret, from string) (string, Session, error) {
	token, kept := s.newSession("", ByLink, "", from)
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		used, err := useLink(ctx, tx, envelope.Digest([]byte(secret)), s.Now())
		if err != nil {
			return err
		}
		if !used {
			return fault.New(fault.Unauthenticated, "the link was used before or is over: restart the server for another")
		}
		if err := saveSession(ctx, tx, kept); err != nil {
			return err
		}
		return s.act(ctx, tx, "bootstrap-link.used", "trust-root/1", "server", struct {
			From string `json:"from"`
		}{from})
	})
	if err != nil {
		s.slow(ctx, from, "", err)
		return "", Session{}, s.refuse(ctx, "login.refused", "", from, fmt.Errorf("use bootstrap link: %w", err))
	}
	return token, kept.open(Session{}.Person), nil
}
