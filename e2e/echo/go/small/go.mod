module ambit/e2e/small

go 1.21
