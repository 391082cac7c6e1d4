// Package archtest holds the whole tree to its rules: who may import whom,
// what stays pure, how long files and functions may be, that every package and
// every exported name says what it is, that links in documents lead somewhere,
// and that nothing reads outside the repository.
//
// It is tests only. Each rule is a func that returns its findings, and is
// itself tested with code that breaks it.
package archtest
