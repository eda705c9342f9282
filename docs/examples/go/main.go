// A Parlor client in Go: go run . ws://localhost:8080/chat lobby ada
//
// Lines of the standard input are posted, messages of the room are printed. It resumes after a cut and repeats posts that
// were not acknowledged under the same key, so that each message is stored once and shown once.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"math"
	mathrand "math/rand/v2"
	"os"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// The server knows a key for ten minutes; a post that was first sent longer ago may not be repeated.
const keyAge = 9 * time.Minute

var errEnd = errors.New("the input has ended")

type fields = map[string]any
type frame struct {
	Op, Epoch, Code, Message string
	ID                       int
	Seq, From, After         uint64
	To                       *uint64
	Recovered                bool
	Retry                    float64
	You                      struct{ Token string }
	Items                    []struct {
		Seq  uint64
		From struct{ Name string }
		Body fields
	}
}

type client struct {
	url, room, name, token string
	epoch                  string // with after: where to resume
	after, head            uint64 // head: where the room stood at the last join
	lines                  chan string
	key, text              string    // the post under way, if there is a key
	first                  time.Time // when it was first sent
	ids, attempt           int
}

func main() {
	c := &client{url: os.Args[1], room: os.Args[2], name: os.Args[3], lines: make(chan string)}
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			c.lines <- in.Text()
		}
		close(c.lines)
	}()
	for ; ; c.attempt++ {
		err := c.session()
		if errors.Is(err, errEnd) {
			return
		}
		log.Print("disconnected: ", err) // and a jittered pause, so that not all come back in step
		seconds := math.Min(30, math.Pow(2, float64(c.attempt))/2) * (0.1 + 0.9*mathrand.Float64())
		time.Sleep(time.Duration(seconds * float64(time.Second)))
	}
}

// session is one connection. A goroutine reads; everything else happens here, so that nothing needs a lock.
func (c *client) session() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	socket, _, err := websocket.Dial(ctx, c.url, nil)
	if err != nil {
		return err
	}
	defer socket.CloseNow()
	socket.SetReadLimit(1 << 20)
	frames, broken := make(chan frame), make(chan error, 1)
	go func() {
		for {
			var got frame
			if err := wsjson.Read(ctx, socket, &got); err != nil {
				broken <- err
				return
			}
			select {
			case frames <- got:
			case <-ctx.Done():
				return
			}
		}
	}()
	send := func(request fields) error {
		c.ids++
		request["id"], request["room"] = c.ids, c.room
		return wsjson.Write(ctx, socket, request)
	}
	err = c.join(send)
	var again, moved <-chan time.Time
	pings := time.NewTicker(20 * time.Second)
	defer pings.Stop()
	var lines chan string // heard only while nothing is under way, which keeps the order
	for retry := c.join; err == nil; {
		select {
		case err = <-broken:
		case <-moved: // a gateway that is drained: come back, on another one
			err = errors.New("the server asked to move")
		case <-pings.C:
			alive, stop := context.WithTimeout(ctx, 8*time.Second)
			err = socket.Ping(alive)
			stop()
		case line, open := <-lines:
			if !open {
				return errEnd
			}
			lines, c.key, c.text, c.first = nil, rand.Text(), line, time.Now()
			err = c.post(send)
		case <-again:
			err = retry(send)
		case got := <-frames:
			switch {
			case got.Op == "joined":
				c.joined(got)
				retry, err = c.post, c.post(send)
			case got.Op == "posted" && got.ID == c.ids:
				c.key = ""
			case got.Op == "error" && got.ID == c.ids:
				again, err = delay(got)
			case got.Op == "moved":
				moved = time.After(time.Duration(got.After) * time.Millisecond)
			default:
				c.show(got)
			}
			if (got.Op == "joined" || got.Op == "posted") && c.key == "" {
				lines = c.lines
			}
		}
	}
	return err
}

func (c *client) join(send func(fields) error) error {
	request := fields{"op": "join", "name": c.name}
	if c.token != "" {
		request["token"], request["epoch"], request["after"] = c.token, c.epoch, c.after
	}
	return send(request)
}

// post sends the post under way, for the first time or again.
func (c *client) post(send func(fields) error) error {
	if c.key != "" && time.Since(c.first) > keyAge {
		log.Print("may not have arrived: ", c.text)
		c.key = ""
	}
	if c.key == "" {
		return nil
	}
	return send(fields{"op": "post", "key": c.key, "body": fields{"text": c.text}})
}

func (c *client) joined(got frame) {
	if c.token == "" {
		c.epoch, c.after = got.Epoch, got.Seq
	} else if got.Recovered {
		c.epoch = got.Epoch
	} // else a gap follows, and only then the position is a new one
	c.token, c.head, c.attempt = got.You.Token, got.Seq, 0
}

func (c *client) show(got frame) {
	if got.Op == "gap" {
		c.epoch, c.after = got.Epoch, c.head
		if got.To != nil {
			c.after = *got.To
		}
		fmt.Printf("missing: from %d, going on after %d\n", got.From, c.after)
	}
	for _, item := range got.Items {
		if item.Seq > c.after {
			c.after = item.Seq
			fmt.Printf("%d %s: %v\n", item.Seq, item.From.Name, item.Body["text"])
		}
	}
}

// delay tells when to ask again, or that it is no use.
func delay(got frame) (<-chan time.Time, error) {
	if got.Code != "rate_limited" && got.Code != "unavailable" {
		return nil, fmt.Errorf("%s: %s", got.Code, got.Message)
	}
	return time.After(time.Duration(math.Max(got.Retry, 200)*(1+mathrand.Float64()/2)) * time.Millisecond), nil
}
