// The application's HTTP port alone, as a program that starts in milliseconds: what a rollout costs besides the start of its pods'
// programs. It answers /ready and, to everything else, who it is; told to end, it drains as the application does.
package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	port     = ":8080"
	endAfter = 2 * time.Second
)

func main() {
	drainMs, _ := strconv.Atoi(os.Getenv("DRAIN_MS"))
	var draining atomic.Bool
	handler := func(response http.ResponseWriter, request *http.Request) {
		if draining.Load() {
			response.Header().Set("Connection", "close")
		}
		response.Header().Set("Content-Type", "application/json")
		if request.URL.Path == "/ready" && draining.Load() {
			response.WriteHeader(http.StatusServiceUnavailable)
		}
		source := request.RemoteAddr[:strings.LastIndex(request.RemoteAddr, ":")]
		_ = json.NewEncoder(response).Encode(map[string]string{
			"pod":       os.Getenv("POD_NAME"),
			"namespace": os.Getenv("POD_NAMESPACE"),
			"node":      os.Getenv("NODE_NAME"),
			"source":    source,
			"protocol":  request.Proto,
		})
	}
	server := &http.Server{Addr: port, Handler: http.HandlerFunc(handler), ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		<-signals
		draining.Store(true)
		time.Sleep(time.Duration(drainMs) * time.Millisecond)
		patience, cancel := context.WithTimeout(context.Background(), endAfter)
		defer cancel()
		_ = server.Shutdown(patience)
		close(ended)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		println(err.Error())
		os.Exit(1)
	}
	<-ended
}
