"""BoringSSL's protocol tests ("BoGo") against handfast: README.md says what this is and how to run it."""
