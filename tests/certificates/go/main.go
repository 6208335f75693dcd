// What crypto/x509 says of chains: a JSON list comes in, a JSON list of sentences goes out, "" for a good chain.
package main

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"time"
)

type question struct {
	Chain  [][]byte
	Roots  [][]byte
	Name   string
	Client bool
	Now    int64
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		panic(err)
	}
	answers := make([]string, 0, len(questions))
	for _, asked := range questions {
		answer := ""
		if err := verify(asked); err != nil {
			answer = err.Error()
		}
		answers = append(answers, answer)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}

// verify does what crypto/tls does with what a peer has sent.
func verify(asked question) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, der := range asked.Roots {
		root, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		roots.AddCert(root)
	}
	var leaf *x509.Certificate
	for index, der := range asked.Chain {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		if index == 0 {
			leaf = certificate
		} else {
			intermediates.AddCert(certificate)
		}
	}
	usage := x509.ExtKeyUsageServerAuth
	if asked.Client {
		usage = x509.ExtKeyUsageClientAuth
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		DNSName:       asked.Name,
		CurrentTime:   time.Unix(asked.Now, 0),
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	return err
}
