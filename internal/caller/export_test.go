package caller

// NextFramed reads one message of a stream.
var NextFramed = nextFramed
