// A peer of handfast made of Go's crypto/tls: one connection, as client or as server, between standard input and output.
//
// What there is to say goes to standard error, one JSON object a line: {"port": ...} once a server listens, the facts of
// the handshake, and at the end {"end": "clean"} or {"error": ..., "alert": ..., "sent_by": "peer" | "us"}.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
)

var groups = map[string]tls.CurveID{
	"X25519MLKEM768": tls.X25519MLKEM768,
	"x25519":         tls.X25519,
	"secp256r1":      tls.CurveP256,
	"secp384r1":      tls.CurveP384,
	"secp521r1":      tls.CurveP521,
}

func say(facts map[string]any) {
	line, err := json.Marshal(facts)
	if err != nil {
		panic(err)
	}
	os.Stderr.Write(append(line, '\n'))
}

// fail reports an error, with the alert's number where one came from the peer.
func fail(err error) {
	facts := map[string]any{"error": err.Error()}
	var operation *net.OpError
	if errors.As(err, &operation) && (operation.Op == "remote error" || operation.Op == "local error") {
		facts["sent_by"] = map[bool]string{true: "peer", false: "us"}[operation.Op == "remote error"]
		if value := reflect.ValueOf(operation.Err); value.Kind() == reflect.Uint8 { // crypto/tls does not export alert
			facts["alert"] = value.Uint()
		}
	}
	say(facts)
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func configuration(group, alpn, newest string) *tls.Config {
	config := &tls.Config{}
	if group != "" {
		config.CurvePreferences = []tls.CurveID{groups[group]}
	}
	if alpn != "" {
		config.NextProtos = strings.Split(alpn, ",")
	}
	if newest == "1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	return config
}

// pair loads "chain.pem:key.pem".
func pair(files string) tls.Certificate {
	chain, key, _ := strings.Cut(files, ":")
	certificate, err := tls.LoadX509KeyPair(chain, key)
	check(err)
	return certificate
}

func connect(address, name, roots string, config *tls.Config) *tls.Conn {
	pem, err := os.ReadFile(roots)
	check(err)
	config.RootCAs = x509.NewCertPool()
	config.RootCAs.AppendCertsFromPEM(pem)
	config.ServerName = name
	raw, err := net.Dial("tcp", address)
	check(err)
	return tls.Client(raw, config)
}

func accept(identities string, asks bool, config *tls.Config) *tls.Conn {
	for _, files := range strings.Split(identities, ",") {
		config.Certificates = append(config.Certificates, pair(files))
	}
	if asks {
		config.ClientAuth = tls.RequestClientCert
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	say(map[string]any{"port": listener.Addr().(*net.TCPAddr).Port})
	raw, err := listener.Accept()
	check(err)
	return tls.Server(raw, config)
}

func main() {
	address := flag.String("connect", "", "where to connect to, as a client")
	identities := flag.String("identities", "", "chain:key,chain:key, as a server")
	name := flag.String("name", "localhost", "the server's name, as a client")
	roots := flag.String("roots", "", "the roots to trust, as a client")
	asks := flag.Bool("asks", false, "ask for a certificate, as a server")
	group := flag.String("group", "", "the only group")
	alpn := flag.String("alpn", "", "protocols")
	newest := flag.String("newest", "", "1.2: nothing newer than TLS 1.2")
	flag.Parse()

	var connection *tls.Conn
	config := configuration(*group, *alpn, *newest)
	if *address != "" {
		connection = connect(*address, *name, *roots, config)
	} else {
		connection = accept(*identities, *asks, config)
	}
	check(connection.Handshake())
	state := connection.ConnectionState()
	say(map[string]any{
		"version":      tls.VersionName(state.Version),
		"suite":        tls.CipherSuiteName(state.CipherSuite),
		"group":        state.CurveID.String(),
		"alpn":         state.NegotiatedProtocol,
		"server_name":  state.ServerName,
		"certificates": len(state.PeerCertificates),
	})

	// The end of standard input is a close_notify; the peer's close_notify ends all.
	go func() {
		_, err := io.Copy(connection, os.Stdin)
		check(err)
		check(connection.CloseWrite())
	}()
	_, err := io.Copy(os.Stdout, connection)
	check(err)
	check(connection.CloseWrite()) // Close alone sends no close_notify while a Write has not returned
	check(connection.Close())
	say(map[string]any{"end": "clean"})
}
