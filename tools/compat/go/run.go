package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
	"time"
)

// One scenario under way: the server it speaks to, a topic name of its own, its transcript.
type run struct {
	bootstrap string
	topic     string
	brokers   int
	ctx       context.Context
	lines     []string
	closers   []func()
}

const limit = 40 * time.Second

func newRun(asked request) *run {
	return &run{bootstrap: asked.Bootstrap, topic: asked.Topic, brokers: asked.Brokers, lines: []string{}}
}

type failed struct{ text string }

// do returns what went wrong, or "". Everything the scenario opened is closed.
func (r *run) do(scenario func(*run)) (failure string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r.ctx = ctx
	defer func() {
		if f := recover(); f != nil {
			if own, ok := f.(failed); ok {
				failure = own.text + "\n" + string(debug.Stack())
			} else {
				failure = fmt.Sprintf("%v\n%s", f, debug.Stack())
			}
		}
		for i := len(r.closers) - 1; i >= 0; i-- {
			r.closers[i]()
		}
	}()
	scenario(r)
	return ""
}

func (r *run) atEnd(close func()) { r.closers = append(r.closers, close) }

func (r *run) check(ok bool, format string, args ...any) {
	if !ok {
		panic(failed{fmt.Sprintf(format, args...)})
	}
}

func (r *run) must(err error, what string) { r.check(err == nil, "%s: %v", what, err) }

func (r *run) equal(expected, actual any, what string) {
	r.check(reflect.DeepEqual(expected, actual), "%s: expected %v, got %v", what, expected, actual)
}

func (r *run) fails(expected, actual error, what string) {
	r.check(errors.Is(actual, expected), "%s: expected %v, got %v", what, expected, actual)
}

// say adds to the transcript. The topic's name, which differs from run to run, becomes T.
func (r *run) say(format string, args ...any) {
	r.lines = append(r.lines, strings.ReplaceAll(fmt.Sprintf(format, args...), r.topic, "T"))
}

// until polls a condition until it holds.
func (r *run) until(what string, condition func() bool) {
	for !condition() {
		select {
		case <-r.ctx.Done():
			panic(failed{"still waiting until " + what})
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// values that compress about by half.
func values(count, size int) [][]byte {
	state := uint32(count*31 + size)
	made := make([][]byte, count)
	for i := range made {
		made[i] = make([]byte, size)
		for j := range made[i] {
			state = state*1664525 + 1013904223
			made[i][j] = 'a' + byte(state>>28)
		}
	}
	return made
}

type place struct {
	partition int32
	offset    int64
}

func sum[K comparable](counts map[K]int) (total int) {
	for _, count := range counts {
		total += count
	}
	return
}
