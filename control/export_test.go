package control

// MaxRated is how many accounts' requests are counted at once.
const MaxRated = maxRated

// Rated is how many accounts' requests are counted now.
func (o *Operations) Rated() int {
	o.meter.mu.Lock()
	defer o.meter.mu.Unlock()
	return len(o.meter.spent)
}
