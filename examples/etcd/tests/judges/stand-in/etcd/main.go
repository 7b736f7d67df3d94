// Program etcd replaces etcd's in its e2e tests: it takes etcd's options, starts the
// server under test, and prints the lines by which the tests recognise that it is ready.
//
// A cluster is one server, the first member of `--initial-cluster`. The other members relay to it.
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"judges/relay"
	"judges/server"
)

// portsPerMember is the distance between the client ports of two members of a test's cluster.
const portsPerMember = 5

// Options that mean nothing to one server without Raft.
var ignored = []string{
	"advertise-client-urls", "listen-peer-urls", "initial-advertise-peer-urls",
	"initial-cluster-token", "initial-cluster-state", "snapshot-count",
	"peer-cert-file", "peer-key-file", "peer-trusted-ca-file",
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var options server.Options
	name := flag.String("name", "default", "")
	cluster := flag.String("initial-cluster", "", "")
	clientURLs := flag.String("listen-client-urls", "http://localhost:2379", "")
	autoTLS := flag.Bool("auto-tls", false, "")
	flag.StringVar(&options.DataDir, "data-dir", "", "")
	flag.StringVar(&options.CertFile, "cert-file", "", "")
	flag.StringVar(&options.KeyFile, "key-file", "", "")
	flag.StringVar(&options.TrustedCAFile, "trusted-ca-file", "", "")
	flag.BoolVar(&options.ClientCertAuth, "client-cert-auth", false, "")
	flag.Int64Var(&options.QuotaBackendBytes, "quota-backend-bytes", 0, "")
	flag.UintVar(&options.MaxConcurrentStreams, "max-concurrent-streams", 0, "")
	for _, option := range ignored {
		flag.String(option, "", "")
	}
	for _, option := range []string{"peer-auto-tls", "strict-reconfig-check", "experimental-initial-corrupt-check"} {
		flag.Bool(option, false, "")
	}
	flag.Parse()

	listen, err := url.Parse(*clientURLs)
	if err != nil {
		return err
	}
	if *autoTLS {
		// Clients of such tests do not verify the certificate.
		folder := os.Getenv("JUDGES_CERTIFICATES")
		options.CertFile = filepath.Join(folder, "server.crt")
		options.KeyFile = filepath.Join(folder, "server.key.insecure")
	}
	options.Address = "127.0.0.1:" + listen.Port()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	if index := memberIndex(*cluster, *name); index > 0 {
		port, err := strconv.Atoi(listen.Port())
		if err != nil {
			return err
		}
		first := fmt.Sprintf("127.0.0.1:%d", port-index*portsPerMember)
		forward, err := relay.Listen(options.Address, first)
		if err != nil {
			return err
		}
		printReady()
		<-stop
		forward.Close()
		return nil
	}

	s, err := server.Start(options, os.Stderr)
	if err != nil {
		return err
	}
	printReady()
	select {
	case signal := <-stop:
		s.Stop(signal)
	case <-s.Done():
		return fmt.Errorf("the server ended: %d", s.ExitCode())
	}
	return nil
}

// memberIndex returns the position of a member in a list of `name=url`, 0 for a list without it.
func memberIndex(cluster, name string) int {
	for i, member := range strings.Split(cluster, ",") {
		if strings.HasPrefix(member, name+"=") {
			return i
		}
	}
	return 0
}

func printReady() {
	fmt.Println("enabled capabilities for version")
	fmt.Println("published")
}
