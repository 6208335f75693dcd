// A peer of handfast made of Go's crypto/tls: one connection, as client or as server, between standard input and output.
//
// What there is to say goes to standard error, one JSON object a line: {"port": ...} once a server listens, the facts of
// the handshake, and at the end {"end": "clean"} or {"error": ..., "alert": ..., "sent_by": "peer" | "us"}.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
)

var groups = map[string]tls.CurveID{
	"X25519MLKEM768":     tls.X25519MLKEM768,
	"SecP256r1MLKEM768":  tls.SecP256r1MLKEM768,
	"SecP384r1MLKEM1024": tls.SecP384r1MLKEM1024,
	"x25519":             tls.X25519,
	"secp256r1":          tls.CurveP256,
	"secp384r1":          tls.CurveP384,
	"secp521r1":          tls.CurveP521,
}

var clientAuth = map[string]tls.ClientAuthType{
	"":         tls.NoClientCert,
	"optional": tls.VerifyClientCertIfGiven,
	"required": tls.RequireAndVerifyClientCert,
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

// list cuts at commas; nothing is an empty list.
func list(words string) []string {
	if words == "" {
		return nil
	}
	return strings.Split(words, ",")
}

var versionNumbers = map[string]uint16{"1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// suites are numbers of those of TLS 1.2; Go has an order of its own. Old ones are there where they are named.
func suites(names string) []uint16 {
	var numbers []uint16
	for _, name := range list(names) {
		for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			if suite.Name == name {
				numbers = append(numbers, suite.ID)
			}
		}
	}
	return numbers
}

// configuration has what both sides can be told; identities are "chain.pem:key.pem", versions "lowest,highest".
func configuration(identities, groupNames, alpn, versions, suiteNames string) *tls.Config {
	config := &tls.Config{NextProtos: list(alpn)}
	for _, name := range list(groupNames) {
		config.CurvePreferences = append(config.CurvePreferences, groups[name])
	}
	for _, files := range list(identities) {
		chain, key, _ := strings.Cut(files, ":")
		certificate, err := tls.LoadX509KeyPair(chain, key)
		check(err)
		config.Certificates = append(config.Certificates, certificate)
	}
	lowest, highest, _ := strings.Cut(versions, ",")
	config.MinVersion, config.MaxVersion = versionNumbers[lowest], versionNumbers[highest]
	config.CipherSuites = suites(suiteNames)
	return config
}

func connect(address, name string, config *tls.Config) *tls.Conn {
	config.ServerName = name
	raw, err := net.Dial("tcp", address)
	check(err)
	return tls.Client(raw, config)
}

func listen(asks string, config *tls.Config) net.Listener {
	config.ClientAuth = clientAuth[asks]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	say(map[string]any{"port": listener.Addr().(*net.TCPAddr).Port})
	return listener
}

func accept(listener net.Listener, config *tls.Config) *tls.Conn {
	raw, err := listener.Accept()
	check(err)
	return tls.Server(raw, config)
}

// file keeps a client's session: the ticket with its length before it, and the state.
type file string

func (name file) Get(string) (*tls.ClientSessionState, bool) {
	kept, err := os.ReadFile(string(name))
	if err != nil {
		return nil, false
	}
	length := int(binary.BigEndian.Uint32(kept))
	state, err := tls.ParseSessionState(kept[4+length:])
	check(err)
	session, err := tls.NewResumptionState(kept[4:4+length], state)
	check(err)
	return session, true
}

func (name file) Put(_ string, session *tls.ClientSessionState) {
	if session == nil {
		return
	}
	ticket, state, err := session.ResumptionState()
	check(err)
	encoded, err := state.Bytes()
	check(err)
	kept := append(binary.BigEndian.AppendUint32(nil, uint32(len(ticket))), ticket...)
	check(os.WriteFile(string(name), append(kept, encoded...), 0o600))
}

// export says what keying material comes of a label and a length, without a context and with one.
func export(state tls.ConnectionState, what string) {
	words := strings.SplitN(what, ":", 3)
	size, err := strconv.Atoi(words[1])
	check(err)
	material, err := state.ExportKeyingMaterial(words[0], nil, size)
	check(err)
	with, err := state.ExportKeyingMaterial(words[0], []byte(words[2]), size)
	check(err)
	say(map[string]any{"exported": hex.EncodeToString(material), "with_context": hex.EncodeToString(with)})
}

func main() {
	address := flag.String("connect", "", "where to connect to, as a client")
	identities := flag.String("identities", "", "chain:key,chain:key")
	name := flag.String("name", "localhost", "the server's name, as a client")
	trusted := flag.String("roots", "", "the roots to trust")
	asks := flag.String("asks", "", "whether clients have to show a certificate: optional, required")
	groupNames := flag.String("groups", "", "the only groups")
	alpn := flag.String("alpn", "", "protocols")
	versions := flag.String("versions", "1.2,1.3", "the lowest and the highest")
	suiteNames := flag.String("suites", "", "the only suites of TLS 1.2")
	exports := flag.String("export", "", "label:length:context of keying material to export")
	connections := flag.Int("connections", 1, "as a server: how many to take, one after the other")
	session := flag.String("session", "", "as a client: where the session is kept, to be taken up")
	flag.Parse()

	config := configuration(*identities, *groupNames, *alpn, *versions, *suiteNames)
	pem, err := os.ReadFile(*trusted)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config.RootCAs, config.ClientCAs = roots, roots

	if *session != "" {
		config.ClientSessionCache = file(*session)
	}

	if *address != "" {
		talk(connect(*address, *name, config), os.Stdin, *exports)
	} else {
		listener := listen(*asks, config)
		for ; *connections > 1; *connections-- {
			connection := accept(listener, config)
			check(connection.Handshake())
			_, err = io.Copy(connection, connection) // what comes goes back, in all but the last one
			check(err)
			check(connection.Close())
		}
		talk(accept(listener, config), os.Stdin, *exports)
	}
	say(map[string]any{"end": "clean"})
}

// talk is a pipe between standard input and output, and the connection, until both sides have closed.
func talk(connection *tls.Conn, input io.Reader, exports string) {
	check(connection.Handshake())
	state := connection.ConnectionState()
	say(map[string]any{
		"version":     strings.Replace(tls.VersionName(state.Version), " ", "v", 1),
		"suite":       tls.CipherSuiteName(state.CipherSuite),
		"group":       state.CurveID.String(),
		"alpn":        state.NegotiatedProtocol,
		"server_name": state.ServerName,
	})
	say(map[string]any{"unique": hex.EncodeToString(state.TLSUnique)})
	if exports != "" {
		export(state, exports)
	}

	// The end of standard input is a close_notify; the peer's close_notify ends all.
	go func() {
		_, err := io.Copy(connection, input)
		check(err)
		check(connection.CloseWrite())
	}()
	_, err := io.Copy(os.Stdout, connection)
	check(err)
	check(connection.CloseWrite()) // Close alone sends no close_notify while a Write has not returned
	check(connection.Close())
}
