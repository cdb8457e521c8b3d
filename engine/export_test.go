package engine

// PurgeDue is what the engine does once a minute.
func (e *Engine) PurgeDue() { e.purgeNow() }
