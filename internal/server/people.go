package server

import "net/http"

// People gives the people's door without its listener.
func (s *Server) People() (http.Handler, error) {
	doors, err := s.doors()
	if err != nil {
		return nil, err
	}
	return doors[0].Handler, nil
}
