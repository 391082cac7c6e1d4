// Package smoke proves compose.yaml: the image is built, the cluster is brought
// up by one command as an operator would type it, and real calls go to it from
// the machine that the containers run on.
//
// It decides nothing. It uses the container engine that runs; where none does it
// starts one of its own, in a network and a mount namespace of its own, so that
// nothing of it is left on the machine.
package smoke
