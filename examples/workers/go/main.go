// A worker for the action `thumbnail`. Usage: go run . [URL]
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

type task struct {
	ID    string          `json:"id"`
	Lease string          `json:"lease"`
	Data  json.RawMessage `json:"data"`
}

type fields map[string]any

var url = "http://localhost:8080"

func say(ctx context.Context, path string, body any, said any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		_ = json.NewDecoder(answer.Body).Decode(&problem)
		return fmt.Errorf("%s: %s", answer.Status, problem.Detail)
	}
	return json.NewDecoder(answer.Body).Decode(said)
}

// What the task is.
func thumbnail(data json.RawMessage) (any, error) {
	var image struct {
		URL   string
		Width int
	}
	if err := json.Unmarshal(data, &image); err != nil {
		return nil, err
	}
	return fields{"thumbnail": fmt.Sprintf("%s?width=%d", image.URL, image.Width)}, nil
}

func handle(one task) {
	ctx, done := context.WithCancel(context.Background())
	defer done()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Second):
				_ = say(ctx, "/tasks/"+one.ID+"/heartbeat", fields{"lease": one.Lease}, &fields{})
			}
		}
	}()
	result, err := thumbnail(one.Data)
	if err != nil {
		failure := fields{"type": fmt.Sprintf("%T", err), "message": err.Error()}
		err = say(ctx, "/tasks/"+one.ID+"/fail", fields{"lease": one.Lease, "error": failure}, &fields{})
	} else {
		err = say(ctx, "/tasks/"+one.ID+"/complete", fields{"lease": one.Lease, "result": result}, &fields{})
	}
	if err != nil { // such as 409: the lease has run out, another has the task
		log.Printf("task %s: %v", one.ID, err)
	}
}

func main() {
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for ctx.Err() == nil {
		claim := fields{"worker": fmt.Sprintf("go %d", os.Getpid()), "limit": 10, "wait": 30, "lease": 30}
		var claimed struct{ Tasks []task }
		if err := say(ctx, "/queues/thumbnails/claim", claim, &claimed); err != nil {
			if ctx.Err() == nil {
				log.Printf("no tasks: %v", err)
				time.Sleep(time.Second)
			}
			continue
		}
		var working sync.WaitGroup
		for _, one := range claimed.Tasks {
			working.Add(1)
			go func(one task) {
				defer working.Done()
				handle(one)
			}(one)
		}
		working.Wait()
	}
}
