module handfast/chains

go 1.24
