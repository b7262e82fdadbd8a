//go:build tools

// Package tools names what this module builds: an etcd as its authors publish it.
package tools

import _ "go.etcd.io/etcd/server/v3"
