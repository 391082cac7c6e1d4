// Package doctest keeps the documents under docs true: limits and metric names
// as the code has them, examples as the golden files have them, paths that
// exist, decision records that are numbered and indexed.
//
// It is tests only. A finding names the document, the line and what to write.
package doctest
