"""The tests of handfast; see CONTRIBUTING.md for what goes where."""
