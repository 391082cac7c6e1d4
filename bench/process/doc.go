// Package process runs a program of a benchmark on a core of its own and reads
// what it costs: CPU time and proportional memory of its whole process tree,
// from /proc.
//
// It decides nothing about what is measured. A program that ends early is an
// error with the end of its output.
package process
