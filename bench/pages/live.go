package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

// seedRecords hands in the inventory's file for all hosts, and says in bulk which host each record is about.
func (s *seeder) seedRecords(ctx context.Context, o options) (err error) {
	if err := s.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.signIn(ctx, "carol"); err != nil {
		return err
	}
	var file bytes.Buffer
	table := csv.NewWriter(&file)
	rows := [][]string{{"hostname", "environment", "zone", "criticality", "exposure", "owner", "unit", "rack"}}
	for i := range o.hosts {
		environment := "production"
		if i%20 == 0 {
			environment = "stage"
		}
		rows = append(rows, []string{hostName(i), environment, fmt.Sprintf("zone-%d", i%12), record.Criticalities[i%len(record.Criticalities)],
			record.Exposures[i/7%len(record.Exposures)], []string{"alice", "carol"}[i%2], fmt.Sprintf("unit %d", i%9), fmt.Sprintf("rack %d", i/40)})
	}
	if err := table.WriteAll(rows); err != nil {
		return err
	}
	if err := s.send(ctx, http.MethodPost, "/record-imports?format=csv", &file, nil); err != nil {
		return err
	}
	for name, condition := range map[string]string{"core": `zone == "zone-1"`, "edge": `exposure == "internet"`, "heavy": `criticality == "critical"`} {
		if err := s.send(ctx, http.MethodPut, "/groups/"+name, v1.GroupDefinition{Expression: condition}, nil); err != nil {
			return err
		}
		s.seeded.Group = append(s.seeded.Group, name)
	}
	if err := s.db.Write(ctx, func(tx *db.Tx) error { return linkRecords(ctx, tx) }); err != nil {
		return err
	}
	var some v1.Records
	if err := s.send(ctx, http.MethodGet, "/records?limit=50", strings.NewReader(""), &some); err != nil {
		return err
	}
	for _, r := range some.Records {
		s.seeded.Record = append(s.seeded.Record, r.ID)
	}
	return nil
}

// seedTime lets the server work by itself until it has written its history and started the clocks.
func (s *seeder) seedTime(ctx context.Context, _ options) (err error) {
	if err := s.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.signIn(ctx, "alice"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	served := make(chan error, 1)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	go func() { served <- s.server.Serve(serving) }()
	for {
		var clocks v1.Clocks
		if err := s.send(ctx, http.MethodGet, "/clocks?limit=1", strings.NewReader(""), &clocks); err != nil {
			return err
		}
		if len(clocks.Clocks) > 0 {
			stop()
			return <-served
		}
		select {
		case err := <-served:
			return fmt.Errorf("the server stopped: %w", err)
		case <-time.After(time.Second):
		case <-ctx.Done():
			return errors.New("no clock was started within five minutes")
		}
	}
}
