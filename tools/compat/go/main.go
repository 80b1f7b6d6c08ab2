// Command compat runs the scenarios of franz-go and sarama against a Kafka-protocol server.
//
//	compat franz-go|sarama
//
// It speaks as every client's driver here does: one JSON request per line on stdin, one JSON answer
// per line on stdout. {"list":true} is answered by the client's version and the scenarios' names;
// {"scenario":name,"bootstrap":..,"topic":..,"brokers":n} by {"ok":true,"lines":[..]} or by
// {"failure":text}. The lines are the scenario's transcript, for comparison with another server.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
)

type scenario struct {
	name string
	run  func(*run)
}

var clients = map[string]struct {
	module    string
	scenarios []scenario
}{
	"franz-go": {"github.com/twmb/franz-go", franzScenarios},
	"sarama":   {"github.com/IBM/sarama", saramaScenarios},
}

type request struct {
	List      bool
	Scenario  string
	Bootstrap string
	Topic     string
	Brokers   int
}

func main() {
	client, known := clients[os.Args[len(os.Args)-1]]
	if !known {
		fmt.Fprintln(os.Stderr, "usage: compat franz-go|sarama")
		os.Exit(2)
	}
	requests := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for requests.Scan() {
		var asked request
		if err := json.Unmarshal(requests.Bytes(), &asked); err != nil {
			answers.Encode(map[string]any{"failure": err.Error()})
			continue
		}
		if asked.List {
			names := []string{}
			for _, s := range client.scenarios {
				names = append(names, s.name)
			}
			answers.Encode(map[string]any{"scenarios": names, "version": version(client.module)})
			continue
		}
		answers.Encode(perform(client.scenarios, asked))
	}
}

func perform(scenarios []scenario, asked request) map[string]any {
	for _, s := range scenarios {
		if s.name == asked.Scenario {
			r := newRun(asked)
			if failure := r.do(s.run); failure != "" {
				return map[string]any{"failure": failure}
			}
			return map[string]any{"ok": true, "lines": r.lines}
		}
	}
	return map[string]any{"failure": "no scenario " + asked.Scenario}
}

func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}
