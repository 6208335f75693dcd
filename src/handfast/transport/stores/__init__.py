"""Where sessions are kept outside of the process: in a file, and in a Redis or Valkey that a fleet shares."""
