package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// stopWithin is how long requests under way may take once the server is told to stop.
const stopWithin = 10 * time.Second

// Serve opens the doors and keeps the timetable until ctx is done or a door fails.
func (s *Server) Serve(ctx context.Context) error {
	doors, err := s.doors()
	if err != nil {
		return err
	}
	listeners := make([]net.Listener, 0, len(doors))
	for _, d := range doors {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", d.Addr)
		if err != nil {
			for _, open := range listeners {
				open.Close()
			}
			return fmt.Errorf("listen: %w", err)
		}
		listeners = append(listeners, l)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		s.timetable().Run(ctx)
		return nil
	})
	group.Go(func() error {
		s.estate.Keep(ctx, func(err error) { s.log.Error("write heartbeats", "error", err) })
		return nil
	})
	for i, d := range doors {
		group.Go(func() error { return serve(d, listeners[i]) })
		group.Go(func() error {
			<-ctx.Done()
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
			defer cancel()
			if err := d.Shutdown(stop); err != nil {
				return d.Close()
			}
			return nil
		})
	}
	s.log.Info("serving", "people", listeners[0].Addr().String(), "agents", listeners[1].Addr().String(),
		"repository", listeners[2].Addr().String())
	return group.Wait()
}

func serve(d *http.Server, l net.Listener) error {
	serve := d.Serve
	if d.TLSConfig != nil {
		serve = func(l net.Listener) error { return d.ServeTLS(l, "", "") }
	}
	if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", d.Addr, err)
	}
	return nil
}
